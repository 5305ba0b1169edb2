//! Events and scripts that keep others from running.
