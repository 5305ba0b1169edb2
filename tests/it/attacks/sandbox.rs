//! Scripts that want more than a run may have.
