//! `msight` and the nodes that it is by name, for the tests of the bench.

fn main() -> std::process::ExitCode {
    msight::main(msight::BUILT_IN)
}
