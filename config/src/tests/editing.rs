use super::*;
use crate::edit::{ChannelIds, EndIds, PathIds, add_chain, add_path, create, with_path_ids, write_path_ids};
use crate::settings::Order;
use crate::template::{NewChain, NewChannel, NewPath, template};
use insta::assert_snapshot;
use proptest::prelude::*;

fn channel(a: Option<u32>, b: Option<u32>) -> ChannelIds {
    let id = |n: u32| format!("channel-{n}").parse().unwrap();
    ChannelIds {
        a_port: "transfer".parse().unwrap(),
        a: a.map(id),
        b_port: "transfer".parse().unwrap(),
        b: b.map(id),
        order: Order::Unordered,
        version: "ics20-1".to_owned(),
    }
}

fn end(client: u32, connection: u32) -> EndIds {
    EndIds {
        client: Some(format!("07-tendermint-{client}").parse().unwrap()),
        connection: Some(format!("connection-{connection}").parse().unwrap()),
    }
}

fn full() -> PathIds {
    PathIds { a: end(0, 1), b: end(2, 3), channels: vec![channel(Some(4), Some(5))] }
}

fn changed(before: &str, after: &str) -> String {
    let added = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    added.collect::<Vec<_>>().join("\n")
}

fn edited(text: &str, ids: &PathIds) -> String {
    with_path_ids(text, "f", "a-b", ids).unwrap_or_else(|e| panic!("{e}\n{}\n{text}", e.remedy()))
}

#[test]
fn ids_are_written_into_inline_tables_with_comments_kept() {
    let after = edited(MINIMAL, &full());
    assert_snapshot!(changed(MINIMAL, &after), @r#"
    a = { chain = "sim-a-1", client = "07-tendermint-0", connection = "connection-1" }                     # `relayer path create a-b` adds the ids it makes to these lines
    b = { chain = "sim-b-1", client = "07-tendermint-2", connection = "connection-3" }
    a = { port = "transfer", channel = "channel-4" }
    b = { port = "transfer", channel = "channel-5" }
    "#);
    assert_eq!(after.lines().count(), MINIMAL.lines().count());
}

#[test]
fn ids_are_written_into_normal_tables_dotted_keys_and_inline_paths() {
    let head = MINIMAL.split("[[paths]]").next().unwrap();
    for paths in [
        "[[paths]]\nname = \"a-b\"\n\n[paths.a] # one end\nchain = \"sim-a-1\" # here\n\n[paths.b]\nchain = \"sim-b-1\"\n# the end\n",
        "[[paths]]\nname = \"a-b\"\na.chain = \"sim-a-1\" # here\nb.chain = \"sim-b-1\"\n",
        "[[paths]]\nname = \"a-b\"\na = {chain = \"sim-a-1\"}\nb = {chain = \"sim-b-1\"}\n[[paths.channels]]\na.port = \"transfer\"\n",
        "[[paths]]\nname = \"a-b\"\na = { chain = \"sim-a-1\" }\nb = { chain = \"sim-b-1\" }\nchannels = [{}]\n",
        "[[paths]]\nname = \"a-b\"\na = {\n  chain = \"sim-a-1\", # here\n}\nb = {\n  chain = \"sim-b-1\" # there\n}\n",
    ] {
        let before = format!("{head}{paths}");
        let after = edited(&before, &full());
        let path = good(&after).paths.remove(0);
        assert_eq!(path.b.connection.unwrap().as_str(), "connection-3", "{after}");
        assert_eq!(path.channels.len(), 1);
        assert_eq!(before.matches('#').count(), after.matches('#').count(), "{after}");
    }
    let inline =
        format!("paths = [{{ name = \"a-b\", a = {{ chain = \"sim-a-1\" }}, b = {{ chain = \"sim-b-1\" }} }}]\n{head}");
    assert_eq!(good(&edited(&inline, &full())).paths[0].channels[0].a.channel.as_ref().unwrap().as_str(), "channel-4");
}

#[test]
fn writing_the_same_ids_again_changes_nothing_and_new_ones_replace_the_old() {
    let once = edited(MINIMAL, &full());
    assert_eq!(edited(&once, &full()), once);
    assert_eq!(edited(&once, &PathIds::default()), once);
    let other = PathIds { a: end(7, 1), ..PathIds::default() };
    assert_snapshot!(changed(&once, &edited(&once, &other)), @r#"a = { chain = "sim-a-1", client = "07-tendermint-7", connection = "connection-1" }                     # `relayer path create a-b` adds the ids it makes to these lines"#);
}

#[test]
fn missing_channels_are_added_to_their_own_path() {
    let second = MINIMAL.split("[[paths]]").nth(1).unwrap().replace("a-b", "b-a");
    let before = format!("{MINIMAL}\n# another one\n[[paths]]{second}");
    let ids = PathIds { channels: vec![channel(Some(4), Some(5)), channel(Some(6), None)], ..full() };
    let after = edited(&before, &ids);
    let settings = good(&after);
    assert_eq!((settings.paths[0].channels.len(), settings.paths[1].channels.len()), (2, 1));
    assert!(after.find("channel-6").unwrap() < after.find("# another one").unwrap(), "{after}");
}

#[test]
fn ids_for_a_path_that_changed_meanwhile_are_not_written() {
    let text = MINIMAL.replacen("a = { port = \"transfer\" }", "a = { port = \"oracle\" }\nversion = \"1\"", 1);
    let error = with_path_ids(&text, "f", "a-b", &full()).unwrap_err();
    assert!(matches!(error, ConfigError::ChannelChanged { number: 1, .. }), "{error}");
    let error = with_path_ids(MINIMAL, "f", "a-c", &full()).unwrap_err();
    assert!(error.remedy().contains("a-b"), "{error}");
}

#[test]
fn windows_line_ends_and_a_missing_last_line_end_survive() {
    let before = MINIMAL.replace('\n', "\r\n");
    let after = edited(&before, &full());
    assert_eq!(after.matches("\r\n").count(), before.matches("\r\n").count());
    edited(MINIMAL.trim_end(), &full());
}

#[test]
fn the_file_is_replaced_at_once_with_its_permissions_and_through_its_link() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("relayer.toml"), folder.path().join("link.toml"));
    std::fs::write(&file, MINIMAL).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        write_path_ids(&link, "a-b", &full()).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        std::fs::remove_file(&link).unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(write_path_ids(folder.path().join("none"), "a-b", &full()).is_err());
}

#[test]
fn a_failed_edit_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relayer.toml");
    std::fs::write(&file, format!("{MINIMAL}\nbroken")).unwrap();
    assert!(write_path_ids(&file, "a-b", &full()).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{MINIMAL}\nbroken"));
}

fn chain(id: &str) -> NewChain {
    NewChain {
        id: id.parse().unwrap(),
        rpc: vec![crate::settings::Endpoint::http("http://127.0.0.1:9").unwrap()],
        account_prefix: "sim".parse().unwrap(),
        gas_price: "0.1stake".parse().unwrap(),
        key: "relayer".parse().unwrap(),
    }
}

fn path(name: &str, a: &str, b: &str) -> NewPath {
    let channel = NewChannel {
        a_port: "transfer".parse().unwrap(),
        b_port: "transfer".parse().unwrap(),
        order: Order::Unordered,
        version: "ics20-1".to_owned(),
    };
    NewPath { name: name.parse().unwrap(), a: a.parse().unwrap(), b: b.parse().unwrap(), channels: vec![channel] }
}

#[test]
fn chains_and_paths_are_added_behind_their_like() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relayer.toml");
    std::fs::write(&file, TWO_CHAINS).unwrap();
    add_chain(&file, &chain("sim-c-1")).unwrap();
    add_path(&file, &path("a-c", "sim-a-1", "sim-c-1")).unwrap();
    let after = std::fs::read_to_string(&file).unwrap();
    let settings = good(&after);
    assert_eq!((settings.chains.len(), settings.paths.len()), (3, 2));
    assert_eq!(settings.paths[1].channels.len(), 1);
    assert!(after.find("sim-c-1").unwrap() < after.find("[[paths]]").unwrap());
    let mut lines = after.lines();
    for line in TWO_CHAINS.lines() {
        assert!(lines.any(|other| other == line), "lost: {line}");
    }
    assert!(add_chain(&file, &chain("sim-c-1")).unwrap_err().to_string().contains("a second time"));
    assert!(add_path(&file, &path("a-d", "sim-a-1", "sim-d-1")).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), after);
}

#[test]
fn a_new_file_is_created_once_and_grows_from_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("relayer.toml");
    create(&file, &template(&[], &[])).unwrap();
    assert!(matches!(create(&file, ""), Err(ConfigError::Write { .. })));
    add_chain(&file, &chain("sim-a-1")).unwrap();
    add_chain(&file, &chain("sim-b-1")).unwrap();
    add_path(&file, &path("a-b", "sim-a-1", "sim-b-1")).unwrap();
    write_path_ids(&file, "a-b", &full()).unwrap();
    assert_eq!(
        good(&std::fs::read_to_string(&file).unwrap()).paths[0].channels[0].b.channel.as_ref().unwrap().as_str(),
        "channel-5"
    );
}

fn ids() -> impl Strategy<Value = PathIds> {
    let end = prop::option::of((0u32..99, prop::option::of(0u32..99))).prop_map(|ids| match ids {
        None => EndIds::default(),
        Some((client, connection)) => EndIds {
            client: Some(format!("07-tendermint-{client}").parse().unwrap()),
            connection: connection.map(|n| format!("connection-{n}").parse().unwrap()),
        },
    });
    (end.clone(), end, 0usize..4, any::<[bool; 4]>()).prop_map(|(a, b, count, made)| {
        let ids = (0..count).map(|n| {
            let id = u32::try_from(n).unwrap();
            channel((made[n] && a.connection.is_some()).then_some(id), b.connection.is_some().then_some(id))
        });
        PathIds { channels: ids.collect(), a: a.clone(), b: b.clone() }
    })
}

proptest! {
    #[test]
    fn writing_ids_keeps_every_other_line_in_its_order(ids in ids(), comment in "[ -~]{0,20}", full: bool) {
        let text = format!("# {comment}\n{}\n# {comment}", if full { TWO_CHAINS } else { MINIMAL });
        let after = edited(&text, &ids);
        let may_change = |line: &str| ["a = {", "b = {"].iter().any(|start| line.starts_with(start));
        let mut lines = after.lines();
        for line in text.lines().filter(|line| !may_change(line)) {
            prop_assert!(lines.any(|other| other == line), "lost: {}\n{}", line, after);
        }
        // The lines that change keep their comment.
        for line in text.lines().filter(|line| may_change(line)) {
            if let Some((_, comment)) = line.split_once('#') {
                prop_assert!(after.contains(comment));
            }
        }
        prop_assert_eq!(edited(&after, &ids), after);
    }
}
