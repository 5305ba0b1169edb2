//! What hostile clients, scripts and requests try, and that it does not work. One file per area;
//! each test is named for what it tries.

mod accounts;
mod data;
mod http;
mod packets;
mod pages;
mod payloads;
mod queue;
mod readers;
mod sandbox;
mod scripts;
mod sessions;
mod slow;
