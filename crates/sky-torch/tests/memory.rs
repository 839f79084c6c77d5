//! Large tensors in mappings of their own: a process of its own, since it is for the whole of it.
#![allow(clippy::unwrap_used)]

use std::thread;

use sky_torch::{cached_bytes, empty_cache, install_allocator};
use tch::{Device, Kind, Tensor};

const MIB: i64 = 1 << 20;

/// A vector of `mib` MiB, each element `value`.
fn filled(mib: i64, value: f64) -> Tensor {
    Tensor::full([mib * MIB / 4], value, (Kind::Float, Device::Cpu))
}

fn is_all(tensor: &Tensor, value: f64) -> bool {
    tensor.min().double_value(&[]) == value && tensor.max().double_value(&[]) == value
}

fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: i64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

#[test]
fn freed_memory_is_used_again_and_never_more_than_was_needed_at_once() {
    let before = filled(3, 1.5);
    install_allocator();
    install_allocator();
    assert!(is_all(&before, 1.5));
    drop(before);

    // Many sizes, one after the other, of which at most 48 MiB are there at once.
    let begin = resident();
    let mut alive: Vec<(Tensor, f64)> = Vec::new();
    for turn in 0..600_i64 {
        if alive.len() == 4 {
            let (tensor, value) = alive.remove((turn * 7 % 4) as usize);
            assert!(is_all(&tensor, value), "turn {turn}");
        }
        let value = turn as f64;
        alive.push((filled(1 + turn * 5 % 12, value), value));
        assert!(cached_bytes() as i64 <= (48 + 32) * MIB);
    }
    let grown = resident() - begin;
    assert!(grown < (48 + 32 + 16) * MIB, "{grown}");
    assert!(alive.iter().all(|(tensor, value)| is_all(tensor, *value)));
    drop(alive);
    let kept = cached_bytes();
    assert!(kept >= 16 * MIB as u64, "{kept}");

    // As large as what was freed: nothing new.
    let again = filled(8, -1.0);
    assert!(is_all(&again, -1.0) && cached_bytes() < kept);

    // Made by one thread, changed in size, and freed by another.
    let threads: Vec<_> = (0..4_i64)
        .map(|id| {
            thread::spawn(move || {
                let mut tensor = filled(2 + id, id as f64);
                let _ = tensor.resize_([(3 + id) * MIB / 4]).fill_(10.0 + id as f64);
                (tensor, id)
            })
        })
        .collect();
    for thread in threads {
        let (tensor, id) = thread.join().unwrap();
        assert!(is_all(&tensor, 10.0 + id as f64));
    }
    let before = resident();
    let kept = cached_bytes() as i64;
    empty_cache();
    assert_eq!(cached_bytes(), 0);
    let given = before - resident();
    assert!(given >= kept / 2, "{given} of {kept}");
    assert!(is_all(&again, -1.0));

    // A small one is libtorch's own as before, and no size at all is fine.
    assert!(is_all(
        &Tensor::full([3], 2.0, (Kind::Float, Device::Cpu)),
        2.0
    ));
    assert_eq!(Tensor::zeros([0], (Kind::Float, Device::Cpu)).numel(), 0);
}
