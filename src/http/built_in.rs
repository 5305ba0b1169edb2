//! The list is a file of its own so that a test of the whole server can read it.

/// What the server itself serves: no route of an admin has these paths or any below them. A test
/// compares them with the API's description.
pub const BUILT_IN_PATHS: [&str; 13] = [
    "/_",
    "/admin",
    "/api/socket",
    "/auth",
    "/data",
    "/demo",
    "/docs",
    "/health",
    "/jobs",
    "/me",
    "/metrics",
    "/openapi.json",
    "/socket.io",
];
