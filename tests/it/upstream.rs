//! The upstream's side of the proxy: what connects it to token servers, and what it makes of their faults.

mod tls;
