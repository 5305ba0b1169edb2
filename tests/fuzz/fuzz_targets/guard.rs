//! Whatever bytes a client sends as a WebSocket: the guard reads them, nothing panics, and as many
//! bytes go on as came.
//!
//! `cd tests && cargo fuzz run --fuzz-dir fuzz guard`
#![no_main]
#![expect(dead_code, reason = "parts of the guard that only the server uses")]

#[path = "../../../src/gateway/guard/frames.rs"]
mod frames;
#[path = "../../../src/gateway/guard/name.rs"]
mod name;
#[path = "../../../src/gateway/guard/packets.rs"]
mod packets;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let rules = packets::Rules { namespace_bytes: 32, connect_bytes: 256, attachments: 3, attachment_bytes: 256 };
    let mut watch = packets::Watch::new(rules, |_| true);
    let (mut frames, mut came, mut went) = (frames::Frames::default(), 0, 0);
    for mut piece in pieces {
        let mut spill = Vec::new();
        came += piece.len();
        let Ok(count) = frames.read(&mut watch, &mut piece, &mut spill) else { return };
        went += count + spill.len();
        assert!(went <= came);
    }
    assert!(frames.is_unfinished() || went == came);
});
