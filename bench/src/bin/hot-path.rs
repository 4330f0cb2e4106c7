//! Goes along one hot path so many times, for valgrind to count: `hot-path NAME READY TIMES`.

use waxwing_bench::{Trouble, path};

fn main() -> Result<(), Trouble> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, name, ready, times] = &arguments[..] else { return Err("hot-path NAME READY TIMES".into()) };
    let mut path = path(name, ready.parse()?)?;
    for _ in 0..times.parse::<u64>()? {
        path()?;
    }
    Ok(())
}
