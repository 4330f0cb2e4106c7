//! Where the published vectors are, for every test of this crate.

use std::fs;
use std::path::{Path, PathBuf};

/// The text of one file of the vectors, or nothing (and a line that says so) where there is no such folder.
pub(crate) fn read(file: &str) -> Option<String> {
    let Some(folder) = folder() else {
        println!("no vectors folder: {file} is skipped");
        return None;
    };
    Some(fs::read_to_string(folder.join(file)).expect("the folder of the vectors is whole"))
}

fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("WAXWING_VECTORS") {
        return Some(folder.into());
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = ["../shared/vectors", "../../shared/vectors"];
    places.map(|place| repository.join(place)).into_iter().find(|folder| folder.is_dir())
}
