//! Configuration: an error names a place in the text and fits a screen; what is valid stays so when ids are written into it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_config::edit::{EndIds, PathIds, with_path_ids};
use relayer_config::{ConfigError, Overrides, Place, limits};
use relayer_fuzz::Input;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (text, name, value) = (input.text(), input.text(), input.text());
    match relayer_config::parse(text, "relayer.toml") {
        Ok(settings) => {
            assert!(settings.chains.len() <= limits::CHAINS && settings.paths.len() <= limits::PATHS);
            if let Some(path) = settings.paths.first() {
                let end = |id: &str| EndIds { client: id.parse().ok(), connection: "connection-7".parse().ok() };
                let ids = PathIds { a: end("07-tendermint-7"), b: end("07-tendermint-8"), channels: Vec::new() };
                if let Ok(edited) = with_path_ids(text, "relayer.toml", path.name.as_str(), &ids) {
                    let again =
                        relayer_config::parse(&edited, "relayer.toml").expect("an edited text that is not valid");
                    assert_eq!(again.paths.len(), settings.paths.len());
                    assert_eq!(again.chains.len(), settings.chains.len());
                }
            }
        }
        Err(ConfigError::Invalid { problems, .. }) => {
            assert!(!problems.is_empty() && problems.len() <= limits::PROBLEMS);
            for problem in problems {
                assert!(!problem.message.is_empty() && !problem.message.contains('\u{1b}'));
                if let Place::File { offset, len, .. } = problem.place {
                    assert!(offset + len <= text.len() && text.is_char_boundary(offset));
                }
            }
        }
        Err(_) => assert!(text.len() > limits::FILE_BYTES),
    }
    let variables = [(format!("RELAYER__{name}"), value.to_owned())];
    if let Err(error) = relayer_config::layered(text, "relayer.toml", variables, &Overrides::default()) {
        assert!(!error.to_string().is_empty());
    }
});
