//! The fuzz targets, for a second each, on any toolchain: what was found before, then the seeds, then mutations of them.
//!
//! The targets stand in `fuzz/src`; `scripts/fuzz` runs them for as long as one likes with coverage as a guide. Here
//! there is none: octets are flipped, cut, put together and overwritten with numbers that hurt, the same ones in every
//! run. `WAXWING_FUZZ_SECONDS` sets another time.

#[cfg(test)]
mod mutator;
#[cfg(test)]
#[expect(unreachable_pub, reason = "the same files are a library of their own")]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use data_encoding::HEXLOWER;

    use super::mutator::Mutator;
    use super::targets::{TARGETS, run, seeds};

    /// Octets of one input: more teach nothing that fewer do not.
    const INPUT_OCTETS_MAX: usize = 4096;

    /// Runs a target on one input; where it panics, says on which.
    fn try_one(name: &str, input: &[u8]) {
        if catch_unwind(|| run(name, input)).is_err() {
            panic!("the target {name} on {}", HEXLOWER.encode(input));
        }
    }

    #[expect(clippy::disallowed_methods, reason = "how long is what is given")]
    fn fuzz(name: &str) {
        let seconds = std::env::var("WAXWING_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
        let until = Instant::now() + Duration::from_secs_f64(seconds.unwrap_or(1.0));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions").join(name);
        let found_before = std::fs::read_dir(folder).into_iter().flatten();
        let mut executions = 0_u64;
        for file in found_before {
            try_one(name, &std::fs::read(file.unwrap().path()).unwrap());
            executions += 1;
        }
        let seeds = seeds(name);
        for seed in &seeds {
            try_one(name, seed);
            executions += 1;
        }
        assert!(seeds.len() > 1, "{name} has no seeds");
        let mut mutator = Mutator::new(name, seeds);
        while Instant::now() < until {
            for _ in 0..16 {
                try_one(name, &mutator.next_input(INPUT_OCTETS_MAX));
                executions += 1;
            }
        }
        println!("{name}: {executions} executions");
    }

    /// Writes the seeds where `WAXWING_FUZZ_CORPUS` says, for cargo-fuzz.
    #[test]
    #[ignore = "it writes files: scripts/fuzz asks for it"]
    fn write_seeds() {
        let corpus = std::env::var("WAXWING_FUZZ_CORPUS").unwrap();
        for (name, _) in TARGETS {
            let folder = Path::new(&corpus).join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for (number, seed) in seeds(name).iter().enumerate() {
                std::fs::write(folder.join(format!("seed-{number:04}")), seed).unwrap();
            }
        }
    }

    macro_rules! one_test_for_each {
        ($($name:ident)*) => {
            $(#[test]
            fn $name() {
                fuzz(stringify!($name));
            })*

            #[test]
            fn every_target_is_here() {
                let here = [$(stringify!($name)),*];
                let all: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
                assert_eq!(all, here);
            }
        };
    }

    one_test_for_each!(
        frames conversation manifest headers message file seal keys slice address import export dns log store smtp
    );
}
