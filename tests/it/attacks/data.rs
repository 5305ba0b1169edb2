//! Rows that one may not see or change, and queries that hold everyone up.
