//! Passwords, tokens and sessions that belong to somebody else.
