//! Times of the hot paths, one by one.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use waxwing_bench::{NAMES, path};

/// Calls for which a path is made ready at a time.
const READY: u64 = 64;

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parts");
    group.throughput(Throughput::Elements(READY));
    for name in NAMES {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || path(name, READY).expect("a path"),
                |path| {
                    for _ in 0..READY {
                        path().expect("the way along a path");
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
