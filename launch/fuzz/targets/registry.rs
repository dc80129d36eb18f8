//! Any text as a record of the registry: no panic, and what is read is written back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use msight_bus::registry::{NodeRecord, TopicRecord};

fuzz_target!(|text: &str| {
    if let Ok(record) = NodeRecord::from_json("node", text)
        && let Ok(written) = record.to_json()
    {
        let _ = record.expires_after();
        let again = NodeRecord::from_json("node", &written).expect("what was written here reads");
        assert_eq!(again.to_json().expect("it was written before"), written);
    }
    if let Ok(record) = TopicRecord::from_json("topic", text)
        && let Ok(written) = record.to_json()
    {
        let _ = record.message_type();
        let again = TopicRecord::from_json("topic", &written).expect("what was written here reads");
        assert_eq!(again.to_json().expect("it was written before"), written);
    }
});
