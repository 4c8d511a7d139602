//! The admin API, by which the commands reach a running instance, and the page for people: the doors, and the routes
//! behind them. The routes stand on a [`ground::Ground`], which is the instance or, for a command that finds none, its
//! files: one code for both.

pub mod answer;
mod aside;
mod body;
pub mod caller;
mod change;
mod clients;
mod compatible;
mod desk;
mod document;
pub mod door;
mod etag;
pub mod gate;
pub mod ground;
mod instance;
pub mod journal;
pub mod list;
mod named;
pub mod object;
pub mod page;
mod recent;
mod repeat;
pub mod rotate;
pub mod routes;
mod scope;
mod secrets;
mod status;
pub mod tokens;
pub mod wish;
mod words;
