//! `relayer`: the command line.

fn main() -> std::process::ExitCode {
    relayer::cli::main()
}
