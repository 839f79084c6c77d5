//! Set-up against a small package in a folder, and against a server that breaks off, through the
//! real pip.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use sha2::{Digest, Sha256};

const WHEEL: &str = "demo_pack-1.0-py3-none-any.whl";

/// Writes a wheel of about 2 MB that does not compress, with a member that tries to leave the
/// folder when asked for.
const MAKE_WHEEL: &str = r#"
import random, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("demo_pack/data.bin", random.Random(7).randbytes(2_000_000))
    wheel.writestr("demo_pack/lib/one.py", "one = 1\n")
    wheel.writestr("demo_pack/test/two.py", "two = 2\n")
    wheel.writestr("demo_pack-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo-pack\nVersion: 1.0\n")
    wheel.writestr("demo_pack-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("demo_pack-1.0.dist-info/RECORD", "")
    wheel.writestr("escape/../../../outside.txt", "out")
"#;

/// A checkout, a cache folder, a list of pins and a folder with the package.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(scene.at("checkout/xtask")).unwrap();
        fs::create_dir_all(scene.at("wheels")).unwrap();
        let made = Command::new("python3")
            .args(["-c", MAKE_WHEEL])
            .arg(scene.wheel())
            .status()
            .unwrap();
        assert!(made.success());
        scene.pin("demo_pack/", None);
        scene
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn wheel(&self) -> PathBuf {
        self.at("wheels").join(WHEEL)
    }

    fn pin(&self, from: &str, sha256: Option<&str>) {
        let wheel = fs::read(self.wheel()).unwrap();
        let real = sky_files::hex(&Sha256::digest(&wheel));
        let text = format!(
            "v = 1\nplatform = \"{}-{}\"\n[[artifact]]\nfolder = \"things/demo\"\ntitle = \"a demo\"\nunpacked = 3000000\n\
             links = [{{ path = \"lib/same.py\", target = \"one.py\" }}]\ntexts = [{{ path = \"version\", text = \"1.0\" }}]\n\
             [[artifact.package]]\nproject = \"demo-pack\"\nversion = \"1.0\"\nfile = \"{WHEEL}\"\nbytes = {}\n\
             sha256 = \"{}\"\nkeep = [{{ from = \"{from}\", to = \"./\", without = [\"test\"] }}]\n",
            std::env::consts::OS,
            std::env::consts::ARCH,
            wheel.len(),
            sha256.unwrap_or(&real),
        );
        fs::write(self.at("artifacts.toml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(arguments)
            .env("CARGO_MANIFEST_DIR", self.at("checkout/xtask"))
            .env("SKY_HOME", self.at("home"))
            .env("SKY_ARTIFACTS", self.at("artifacts.toml"))
            .env("PIP_CONFIG_FILE", "/dev/null")
            .env("PIP_RETRIES", "0")
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", self.at("wheels"));
        command
    }

    /// The same, from a server.
    fn command_from(&self, server: &Server) -> Command {
        let mut command = self.command(&["setup"]);
        command
            .env_remove("PIP_NO_INDEX")
            .env_remove("PIP_FIND_LINKS")
            .env(
                "PIP_INDEX_URL",
                format!("http://127.0.0.1:{}/simple", server.port),
            );
        command
    }

    fn demo(&self, path: &str) -> PathBuf {
        self.at("home/things/demo").join(path)
    }

    #[track_caller]
    fn assert_complete(&self) {
        assert_eq!(
            fs::metadata(self.demo("data.bin")).unwrap().len(),
            2_000_000
        );
        assert_eq!(
            fs::read_to_string(self.demo("lib/same.py")).unwrap(),
            "one = 1\n"
        );
        assert_eq!(fs::read_to_string(self.demo("version")).unwrap(), "1.0");
        assert!(!self.demo("test").exists());
        assert!(
            run(&mut self.command(&["setup", "--check"])).0,
            "--check is content"
        );
    }
}

/// Whether it went well, and everything it said.
fn run(command: &mut Command) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    (
        status.success(),
        String::from_utf8([stdout, stderr].concat()).unwrap(),
    )
}

/// Runs what has to fail with exit code 1, and gives its last line.
#[track_caller]
fn failure(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = text.lines().last().unwrap().to_owned();
    assert!(
        line.starts_with("error: ") && text.matches("error: ").count() == 1,
        "{text}"
    );
    line
}

#[test]
fn installs_what_is_listed_and_then_leaves_it_alone() {
    let scene = Scene::new();
    let (good, before) = run(&mut scene.command(&["setup", "--check"]));
    assert!(!good && before.contains("missing"), "{before}");
    let (good, text) = run(&mut scene.command(&["setup"]));
    assert!(good && text.contains("2.0 MB to fetch"), "{text}");
    scene.assert_complete();
    assert_eq!(
        fs::read_link(scene.at("checkout/.sky")).unwrap(),
        scene.at("home").canonicalize().unwrap()
    );
    assert!(!scene.at("home/downloads").exists() && !scene.at("home/tmp").exists());

    fs::remove_file(scene.wheel()).unwrap();
    let (good, text) = run(&mut scene.command(&["setup"]));
    assert!(good && text.contains("every hash right"), "{text}");
}

#[test]
fn what_only_gpus_need_is_fetched_when_it_is_asked_for() {
    let scene = Scene::new();
    let list = scene.at("artifacts.toml");
    let text = fs::read_to_string(&list).unwrap();
    fs::write(&list, text.replace("unpacked =", "cuda = true\nunpacked =")).unwrap();
    let (good, text) = run(&mut scene.command(&["setup"]));
    assert!(good && !scene.demo("data.bin").exists(), "{text}");
    let (good, text) = run(&mut scene.command(&["setup", "--check", "--cuda"]));
    assert!(!good && text.contains("missing"), "{text}");
    assert!(run(&mut scene.command(&["setup", "--cuda"])).0);
    scene.assert_complete();
    let (good, text) = run(&mut scene.command(&["setup", "--check", "--cuda"]));
    assert!(good, "{text}");
}

#[test]
fn damage_of_any_kind_is_named_and_mended() {
    let scene = Scene::new();
    assert!(run(&mut scene.command(&["setup"])).0);
    let receipt = scene.at("home/receipts/things-demo.json");
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let damages: [(&str, &dyn Fn()); 6] = [
        ("data.bin has changed", &|| flip(&scene.demo("data.bin"))),
        ("data.bin has 10 bytes", &|| {
            fs::write(scene.demo("data.bin"), [0; 10]).unwrap();
        }),
        ("one.py is missing", &|| {
            fs::remove_file(scene.demo("lib/one.py")).unwrap();
        }),
        ("same.py is not a link", &|| {
            fs::remove_file(scene.demo("lib/same.py")).unwrap();
        }),
        ("things-demo.json is damaged", &|| {
            fs::write(&receipt, "{").unwrap();
        }),
        ("to fetch", &|| fs::remove_dir_all(scene.demo("")).unwrap()),
    ];
    for (expected, damage) in damages {
        damage();
        let (good, text) = run(&mut scene.command(&["setup", "--check"]));
        assert!(!good && text.contains(expected), "{expected}: {text}");
        let (good, text) = run(&mut scene.command(&["setup"]));
        assert!(good && text.contains(expected), "{expected}: {text}");
        scene.assert_complete();
    }
}

#[test]
fn a_file_with_another_hash_is_never_used() {
    let scene = Scene::new();
    let expected = "0".repeat(64);
    scene.pin("demo_pack/", Some(&expected));
    let line = failure(&mut scene.command(&["setup"]));
    assert!(
        line.contains(WHEEL) && line.contains(&format!("expected {expected}")),
        "{line}"
    );
    assert!(!scene.demo("").exists());
    assert_eq!(
        fs::read_dir(scene.at("home/downloads")).unwrap().count(),
        0,
        "nothing of it is kept"
    );
}

#[test]
fn an_archive_cannot_write_outside_of_its_folder() {
    let scene = Scene::new();
    scene.pin("escape/", None);
    let line = failure(&mut scene.command(&["setup"]));
    assert!(line.contains("outside of the folder"), "{line}");
    assert!(!scene.at("home/outside.txt").exists() && !scene.at("outside.txt").exists());
}

#[test]
fn missing_tools_and_networks_are_named_with_a_remedy() {
    let scene = Scene::new();
    let tools = scene.at("tools");
    fs::create_dir(&tools).unwrap();
    let bare = || {
        let mut command = scene.command(&["setup"]);
        command.env("PATH", &tools).env_remove("CXX");
        command
    };
    assert!(failure(&mut bare()).contains("install g++"));
    symlink("/bin/true", tools.join("c++")).unwrap();
    assert!(failure(&mut bare()).contains("install Python 3 with pip"));
    fs::write(
        tools.join("python3"),
        "#!/bin/sh\n[ \"$2\" != 'import pip' ]\n",
    )
    .unwrap();
    Command::new("chmod")
        .arg("+x")
        .arg(tools.join("python3"))
        .status()
        .unwrap();
    assert!(failure(&mut bare()).contains("no pip"));

    let server = Server {
        // Below those that are given out: nobody serves it.
        port: 9,
        ranges: Arc::default(),
    };
    let line = failure(&mut scene.command_from(&server));
    assert!(
        line.contains("check the network") && line.contains("refused"),
        "{line}"
    );

    fs::remove_file(scene.wheel()).unwrap();
    assert!(failure(&mut scene.command(&["setup"])).contains("point pip at an index"));
}

#[test]
fn a_disk_that_fills_up_is_named_and_the_same_command_goes_on() {
    let scene = Scene::new();
    // A limit on the size of one file stands for the full disk: the write fails in the same place.
    let setup = scene.command(&["setup"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 1000; exec \"$0\" setup"]);
    limited.arg(setup.get_program());
    for (key, value) in setup.get_envs() {
        limited.env(key, value.unwrap());
    }
    let line = failure(&mut limited);
    assert!(
        line.contains(WHEEL) && line.contains("free some space"),
        "{line}"
    );
    assert!(!scene.demo("").exists());
    let part = fs::read_dir(scene.at("home/downloads")).unwrap().count();
    assert_eq!(part, 1, "what was fetched is kept");
    let (good, text) = run(&mut scene.command(&["setup"]));
    assert!(good, "{text}");
    scene.assert_complete();
}

#[test]
fn a_disk_too_small_is_named_before_anything_is_fetched() {
    let scene = Scene::new();
    let list = fs::read_to_string(scene.at("artifacts.toml")).unwrap();
    let large = list.replace("unpacked = 3000000", "unpacked = 4000000000000000000");
    assert_ne!(large, list);
    fs::write(scene.at("artifacts.toml"), large).unwrap();
    let line = failure(&mut scene.command(&["setup"]));
    assert!(
        line.contains("disk full") && line.contains("free some space"),
        "{line}"
    );
    assert!(!scene.demo("").exists() && !scene.at("home/downloads").exists());
}

#[test]
fn a_dry_run_without_set_up_says_what_it_would_fetch_and_fetches_nothing() {
    let scene = Scene::new();
    fs::create_dir(scene.at("checkout/recipes")).unwrap();
    fs::write(scene.at("checkout/recipes/tiny-cpu.toml"), "v = 1\n").unwrap();
    let line = failure(&mut scene.command(&["repro", "--dry-run"]));
    for part in [
        "fetches nothing",
        "cargo xtask setup",
        "2.0 MB",
        "things/demo",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!scene.at("home").exists() && !scene.at("checkout/.sky").exists());
}

#[test]
fn a_folder_in_the_place_of_the_link_is_not_replaced() {
    let scene = Scene::new();
    fs::create_dir(scene.at("checkout/.sky")).unwrap();
    assert!(failure(&mut scene.command(&["setup"])).contains("is a folder of its own"));
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let scene = Scene::new();
    let server = Server::start(fs::read(scene.wheel()).unwrap(), Some(700_000));
    let (good, text) = run(&mut scene.command_from(&server));
    assert!(good, "{text}");
    let ranges = server.ranges.lock().unwrap().clone();
    assert_eq!(ranges[0], 0);
    assert!(
        ranges.len() == 2 && ranges[1] > 0 && ranges[1] <= 700_000,
        "{ranges:?}"
    );
    scene.assert_complete();
}

#[test]
fn what_an_earlier_try_left_is_continued_or_dropped() {
    let scene = Scene::new();
    let wheel = fs::read(scene.wheel()).unwrap();
    let downloads = scene.at("home/downloads");
    let part = downloads.join(format!("{WHEEL}.part"));
    fs::create_dir_all(&downloads).unwrap();
    fs::write(&part, &wheel[..500_000]).unwrap();
    let server = Server::start(wheel.clone(), None);
    assert!(run(&mut scene.command_from(&server)).0);
    assert_eq!(*server.ranges.lock().unwrap(), [500_000]);
    scene.assert_complete();

    fs::remove_file(scene.at("home/receipts/things-demo.json")).unwrap();
    fs::create_dir_all(&downloads).unwrap();
    fs::write(&part, vec![0; 500_000]).unwrap();
    let (good, text) = run(&mut scene.command_from(&server));
    assert!(good && text.contains("starting over"), "{text}");
    scene.assert_complete();
}

#[test]
fn several_at_once_fetch_once() {
    let scene = Scene::new();
    let server = Server::start(fs::read(scene.wheel()).unwrap(), None);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| run(&mut scene.command_from(&server))))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(|(good, _)| *good), "{outcomes:?}");
    assert_eq!(server.ranges.lock().unwrap().len(), 1, "{outcomes:?}");
    scene.assert_complete();
}

#[test]
fn pip_download_stands_in_when_pip_has_changed_inside() {
    let scene = Scene::new();
    let patches = scene.at("patches");
    fs::create_dir(&patches).unwrap();
    let patch = "import sys\nif sys.argv[:1] == ['-c']:\n    sys.modules['pip._internal.models.target_python'] = None\n";
    fs::write(patches.join("sitecustomize.py"), patch).unwrap();
    let (good, text) = run(scene.command(&["setup"]).env("PYTHONPATH", &patches));
    assert!(good && text.contains("using `pip download`"), "{text}");
    scene.assert_complete();
}

/// A package index with one file. It notes where each request for the file begins.
struct Server {
    port: u16,
    ranges: Arc<Mutex<Vec<usize>>>,
}

impl Server {
    /// `cut`: the first answer ends after this many bytes.
    fn start(file: Vec<u8>, cut: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            ranges: Arc::default(),
        };
        let ranges = server.ranges.clone();
        thread::spawn(move || {
            let file = Arc::new(file);
            for stream in listener.incoming().flatten() {
                let (file, ranges) = (file.clone(), ranges.clone());
                // A client that hangs up early is part of the test.
                thread::spawn(move || answer(&stream, &file, cut, &ranges).ok());
            }
        });
        server
    }
}

fn answer(
    mut stream: &TcpStream,
    file: &[u8],
    cut: Option<usize>,
    ranges: &Mutex<Vec<usize>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?.take(1 << 16)).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut from = None;
    for line in lines {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse::<usize>().ok();
        }
    }
    if !request.contains(WHEEL) {
        let page = format!(
            "<!DOCTYPE html><html><body><a href=\"/files/{WHEEL}\">{WHEEL}</a></body></html>"
        );
        let length = page.len();
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
        );
    }
    let first = {
        let mut ranges = ranges.lock().unwrap();
        ranges.push(from.unwrap_or(0));
        ranges.len() == 1
    };
    let body = &file[from.unwrap_or(0)..];
    let (status, place) = match from {
        Some(from) => (
            "206 Partial Content",
            format!(
                "Content-Range: bytes {from}-{}/{}\r\n",
                file.len() - 1,
                file.len()
            ),
        ),
        None => ("200 OK", String::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{place}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    let end = cut.filter(|_| first).unwrap_or(body.len());
    stream.write_all(&body[..end])
}
