//! Writes the seeds of every target, from the vectors of the specification, to the folder named.

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("a folder");
    for (name, _) in waxwing_fuzz::TARGETS {
        let folder = std::path::Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in waxwing_fuzz::seeds(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:04}")), seed)?;
        }
    }
    Ok(())
}
