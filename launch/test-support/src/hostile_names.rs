//! Names as a hostile message may have them, for property tests.

use proptest::prelude::*;

/// Names that could leave a folder or a prefix, or that look like the encoding of another name.
pub fn hostile_name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[./%\\\\ nNoe2Ee5]{0,12}",
        prop::collection::vec(
            prop::sample::select(vec!["..", ".", "/", "%", "2e", "%2E", "\0", "ü", "None", "%empty", "\n"]),
            0..8
        )
        .prop_map(|parts| parts.concat()),
        ("[a-z%./]{1,8}", 1_usize..300).prop_map(|(part, n)| part.repeat(n)),
    ]
}
