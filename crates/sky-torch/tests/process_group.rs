//! Process groups over gloo: ranks as threads, each with its own connections over loopback TCP.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sky_torch::{Listen, ProcessGroup, Store, Work};
use tch::{Device, Kind, Tensor};

const TIMEOUT: Duration = Duration::from_secs(60);

/// One outside the range that connections of tests running beside this one take theirs from.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 10_000) as u16;
    (0..10_000)
        .map(|_| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000)
        .find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok())
        .unwrap()
}

fn on_ranks<T: Send>(
    world_size: usize,
    timeout: Duration,
    run: impl Fn(usize, ProcessGroup, Store) -> T + Sync,
) -> Vec<T> {
    tch::set_num_threads(1);
    let port = free_port();
    thread::scope(|scope| {
        let run = &run;
        let ranks: Vec<_> = (0..world_size)
            .map(|rank| {
                scope.spawn(move || {
                    let store =
                        Store::connect("127.0.0.1", port, rank == 0, "t/", TIMEOUT).unwrap();
                    let listen = Listen::Host("127.0.0.1".into());
                    let group =
                        ProcessGroup::gloo(&store, rank, world_size, &listen, timeout).unwrap();
                    run(rank, group, store)
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(tensor.to_kind(Kind::Double)).unwrap()
}

#[test]
fn every_operation_does_what_it_says_in_both_dtypes() {
    for kind in [Kind::Float, Kind::BFloat16] {
        for world_size in [1, 2, 3, 4] {
            on_ranks(world_size, TIMEOUT, |rank, group, _store| {
                let all = || (0..world_size).map(|r| r as f64);
                let at = |r: usize| Tensor::full([3], 1.0 + r as f64, (kind, Device::Cpu));
                let full = Tensor::zeros([3 * world_size as i64], (kind, Device::Cpu));
                group
                    .all_gather_into(&full, &at(rank))
                    .unwrap()
                    .wait()
                    .unwrap();
                let expected: Vec<f64> = all().flat_map(|r| [1.0 + r; 3]).collect();
                assert_eq!(numbers(&full), expected);

                let shard = Tensor::zeros([3], (kind, Device::Cpu));
                let sent = &full + rank as f64;
                group.reduce_scatter(&shard, &sent).unwrap().wait().unwrap();
                let sum = world_size as f64 * (1.0 + rank as f64) + all().sum::<f64>();
                assert_eq!(numbers(&shard), [sum; 3]);

                let tensor = at(rank);
                group.all_reduce(&tensor).unwrap().wait().unwrap();
                assert_eq!(numbers(&tensor), [all().map(|r| 1.0 + r).sum::<f64>(); 3]);

                let tensor = at(rank);
                group
                    .broadcast(&tensor, world_size - 1)
                    .unwrap()
                    .wait()
                    .unwrap();
                assert_eq!(numbers(&tensor), [world_size as f64; 3]);
                group.barrier().unwrap();
            });
        }
    }
}

#[test]
fn operations_begun_together_end_right_in_any_order_of_waiting() {
    on_ranks(3, TIMEOUT, |rank, group, _store| {
        let float = (Kind::Float, Device::Cpu);
        let fulls: Vec<Tensor> = (0..8).map(|_| Tensor::zeros([3 * 1000], float)).collect();
        let works: Vec<_> = fulls
            .iter()
            .zip(0..)
            .map(|(full, i)| {
                let shard = Tensor::full([1000], f64::from(i * 10) + rank as f64, float);
                group.all_gather_into(full, &shard).unwrap()
            })
            .collect();
        for work in works.into_iter().rev() {
            work.wait().unwrap();
        }
        for (full, i) in fulls.iter().zip(0..) {
            let expected = f64::from(3000 * i * 10) + 3000.0;
            assert!((full.sum(Kind::Double).double_value(&[]) - expected).abs() < 1e-9);
        }
    });
}

#[test]
fn tensors_that_do_not_fit_are_refused_and_nobody_hangs() {
    on_ranks(2, TIMEOUT, |_, group, store| {
        let float = (Kind::Float, Device::Cpu);
        let (four, three) = (Tensor::zeros([4], float), Tensor::zeros([3], float));
        let error = group
            .all_gather_into(&four, &three)
            .unwrap_err()
            .to_string();
        assert!(error.contains("do not fit 2 ranks"), "{error}");
        let half = Tensor::zeros([2], (Kind::BFloat16, Device::Cpu));
        assert!(group.reduce_scatter(&half, &four).is_err(), "kinds");
        let strided = Tensor::zeros([4, 4], float).transpose(0, 1);
        assert!(group.all_reduce(&strided).is_err(), "strides");
        assert!(group.broadcast(&four, 2).is_err(), "no such rank");
        group.barrier().unwrap();
        store.set("key", &[7; 1000]).unwrap();
        assert_eq!(store.get("key").unwrap().unwrap(), [7; 1000]);
        assert_eq!(store.get("none").unwrap(), None);
        let second = store.reconnect(TIMEOUT).unwrap();
        assert_eq!(second.get("key").unwrap().unwrap().len(), 1000);
        group.barrier().unwrap();
    });
}

#[test]
fn a_peer_that_does_not_come_costs_the_timeout_and_no_more() {
    let timeout = Duration::from_secs(2);
    let over = Barrier::new(2);
    on_ranks(2, timeout, |rank, group, _store| {
        if rank == 0 {
            let began = Instant::now();
            let tensor = Tensor::zeros([4], (Kind::Float, Device::Cpu));
            let outcome = group.all_reduce(&tensor).and_then(Work::wait);
            let took = began.elapsed();
            over.wait();
            assert!(outcome.is_err());
            // Well below gloo's own default of half an hour.
            assert!(took > timeout / 2 && took < timeout * 20, "{took:?}");
        } else {
            over.wait();
        }
    });
    let short = Duration::from_secs(1);
    assert!(Store::connect("127.0.0.1", free_port(), false, "", short).is_err());
}

#[test]
fn a_server_that_never_answers_is_not_connected_to() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let short = Duration::from_secs(1);
    assert!(Store::connect("127.0.0.1", port, false, "", short).is_err());
}

/// Carries bytes to a server and back, as long as it is `open`.
fn relay(server: u16, open: &'static AtomicBool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        let ends = [(&client, &server), (&server, &client)];
        for (from, to) in ends.map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap())) {
            thread::spawn(move || carry(from, to, open));
        }
    });
    port
}

fn carry(mut from: TcpStream, mut to: TcpStream, open: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if open.load(Ordering::SeqCst) && to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}

#[test]
fn a_server_that_answers_no_more_costs_the_timeout_once() {
    static OPEN: AtomicBool = AtomicBool::new(true);
    let port = free_port();
    let server = Store::connect("127.0.0.1", port, true, "", TIMEOUT).unwrap();
    server.set("key", b"value").unwrap();
    let limit = Duration::from_secs(1);
    let store = Store::connect("127.0.0.1", relay(port, &OPEN), false, "", limit).unwrap();
    assert_eq!(store.get("key").unwrap().unwrap(), b"value");
    OPEN.store(false, Ordering::SeqCst);
    for _ in 0..100 {
        let error = store.get("key").unwrap_err().to_string();
        assert!(error.contains("no answer for 1 s"), "{error}");
    }
    drop(store);
}
