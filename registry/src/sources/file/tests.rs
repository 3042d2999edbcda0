use super::*;
use crate::{testing, testing::Told};

const LIST: &str = "[[services]]\nname = 'web'\ninstances = ['10.0.0.1:80']\n";

fn config(path: &Path) -> Config {
    Config {
        path: path.to_owned(),
        debounce: Duration::from_millis(5),
        file_bytes_max: config::Size::from_bytes(1000),
    }
}

/// Runs the source until `wanted` accepts a `Reset`.
async fn until(told: &mut Told, wanted: impl Fn(&[Entry], &[Refusal]) -> bool) {
    told.until(|update| match update {
        Update::Reset { entries, refused } => wanted(entries, refused),
        _ => false,
    })
    .await;
}

#[tokio::test]
async fn files_come_change_and_go() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), LIST).unwrap();
    fs::write(dir.path().join("notes.txt"), "not a list").unwrap();
    let mut told = testing::run(File::from(config(dir.path())));
    until(&mut told, |entries, refused| {
        entries.len() == 1 && refused.is_empty()
    })
    .await;
    fs::write(dir.path().join("b.toml"), LIST.replace("web", "shop")).unwrap();
    until(&mut told, |entries, _| entries.len() == 2).await;
    fs::remove_file(dir.path().join("a.toml")).unwrap();
    until(&mut told, |entries, _| {
        entries.len() == 1 && entries[0].service.as_str() == "shop"
    })
    .await;
}

#[tokio::test]
async fn a_file_that_becomes_unreadable_is_refused_and_kept_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.toml");
    fs::write(&path, LIST).unwrap();
    let mut told = testing::run(File::from(config(&path)));
    until(&mut told, |entries, _| entries.len() == 1).await;
    fs::write(&path, "[[services]]\nname = ").unwrap();
    until(&mut told, |entries, refused| {
        entries.len() == 1 && refused.len() == 1 && refused[0].reason.starts_with("2:")
    })
    .await;
    fs::write(&path, " ".repeat(2000)).unwrap();
    until(&mut told, |entries, refused| {
        entries.len() == 1 && refused[0].reason.contains("file_bytes_max")
    })
    .await;
    fs::write(&path, "").unwrap();
    until(&mut told, |entries, refused| {
        entries.is_empty() && refused.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_missing_file_fails_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = testing::run(File::from(config(&dir.path().join("none.toml"))));
    let error = told.failure().await;
    assert!(error.contains("none.toml"), "{error}");
}
