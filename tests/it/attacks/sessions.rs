//! Transports that are not one's own.
