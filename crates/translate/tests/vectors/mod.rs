//! Where the published vectors are.

use std::path::{Path, PathBuf};

/// The folder of the vectors; `None`, with a line on why, where there is none.
pub(crate) fn folder() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = [
        std::env::var_os("WAXWING_VECTORS").map(PathBuf::from),
        Some(repository.join("../shared/vectors")),
        Some(repository.join("../../shared/vectors")),
    ];
    let found = places.into_iter().flatten().find(|place| place.is_dir());
    if found.is_none() {
        println!("skipped: there is no folder of vectors, WAXWING_VECTORS names none");
    }
    found
}

/// All files below a folder whose names end so, in the order of their names.
pub(crate) fn files(folder: &Path, kinds: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kinds.iter().any(|known| kind == *known)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
