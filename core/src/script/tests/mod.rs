//! The sandbox as its scripts meet it.

mod language;
mod sandbox;
mod table;
mod value;
