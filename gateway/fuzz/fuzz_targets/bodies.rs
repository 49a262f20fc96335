//! See `api/entries.rs` of the gateway.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| starling_gateway::api::entries::bodies(data));
