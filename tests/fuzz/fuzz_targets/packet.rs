//! Whatever a client sends as an event: its name is read, its nesting measured, and a script gets
//! it as `@BODY` and gives it back. Nothing may panic, and what is accepted must come back.
//!
//! `cd tests && cargo fuzz run --fuzz-dir fuzz packet`
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gatewright_core::auth::Secret;
use gatewright_core::config::Config;
use gatewright_core::id::new_id;
use gatewright_core::script::{Arguments, Call, RecordedHost, Script, ScriptEngine, event_name, nesting_of};
use libfuzzer_sys::fuzz_target;

static ECHO: LazyLock<(ScriptEngine, Script)> = LazyLock::new(|| {
    let engine = ScriptEngine::new(&Config::defaults().scripts, Arc::new(Secret::from_bytes([0; 32])), None);
    let script = engine.compile("@LOGS(@ARGS.len()); return @BODY;", &Default::default()).expect("the script compiles");
    (engine, script)
});

fuzz_target!(|packet: &str| {
    let (Ok(_name), depth) = (event_name(packet), nesting_of(packet)) else { return };
    let (engine, script) = &*ECHO;
    let call = Call {
        gateway: "/fuzz".into(),
        event: "event".into(),
        request_id: new_id(),
        arguments: Arguments::from_packet(packet, vec![vec![1, 2, 3]]),
        user: None,
        request: None,
        timeout: Duration::from_secs(1),
        test: None,
    };
    let host = Arc::new(RecordedHost::new(true, None, false));
    let output = engine.run(script, &call, host);
    if depth <= 64 && packet.len() < 10_000 {
        output.outcome.expect("what may be accepted comes back");
    }
});
