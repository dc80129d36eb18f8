//! Runs last in `cargo test --workspace`, which takes packages by their names.

#[test]
fn tests_that_were_left_out_are_named_at_the_end() {
    msight_test_support::report_left_out();
}
