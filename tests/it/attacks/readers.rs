//! Clients that make the server hold what they do not read.
