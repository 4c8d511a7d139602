//! The native admin API as a program meets it: pages, states of a client, the instance, what it says of itself.

mod conditions;
mod fleet;
mod instance;
mod pages;
mod rotations;
mod sources;
