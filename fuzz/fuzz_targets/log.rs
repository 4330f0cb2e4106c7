#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| waxwing_fuzz::run("log", octets));
