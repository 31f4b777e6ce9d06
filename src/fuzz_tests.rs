//! Every target reads what is kept for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use super::TARGETS;

/// Where the fuzzers are.
const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
/// What the kernel was recorded to say.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netlink");

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The bytes of a recording, whose comments tell what it is.
fn recorded(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn is_netlink(target: &str) -> bool {
    matches!(target, "netlink" | "nftables")
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let kept = files(&Path::new(FUZZ).join("seeds").join(target)).into_iter();
    let mut seeds: Vec<_> = kept.map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    if is_netlink(target) {
        seeds.extend(files(Path::new(RECORDED)).into_iter().map(|path| (path.clone(), recorded(&path))));
    }
    seeds
}

#[test]
fn each_target_reads_what_is_kept_for_it() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name}");
        for (path, bytes) in seeds {
            println!("{name}: {}", path.display());
            target(&bytes);
        }
    }
}

/// What a fuzzer would try first: each text cut at every byte, and with another in its place. What the kernel says is spoilt
/// by the tests of its readers.
#[test]
fn each_target_reads_what_is_kept_for_it_when_it_is_spoilt() {
    const LONGEST: usize = 256;
    for (name, target) in TARGETS.into_iter().filter(|(name, _)| !is_netlink(name)) {
        for (path, bytes) in seeds(name).into_iter().filter(|(_, bytes)| bytes.len() <= LONGEST) {
            println!("{name}: {}", path.display());
            for at in 0..bytes.len() {
                target(&bytes[..at]);
                for byte in [0, b'\n', 0x7f] {
                    let mut spoilt = bytes.clone();
                    spoilt[at] = byte;
                    target(&spoilt);
                }
            }
        }
    }
}

#[test]
fn each_target_is_a_program_and_each_program_a_target() {
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let programs: Vec<_> = files(&Path::new(FUZZ).join("fuzz_targets")).iter().map(stem).collect();
    assert_eq!(programs, names);
    let manifest = fs::read_to_string(Path::new(FUZZ).join("Cargo.toml")).unwrap();
    for name in names {
        let program = fs::read_to_string(format!("{FUZZ}/fuzz_targets/{name}.rs")).unwrap();
        assert!(program.contains(&format!("vnet::fuzz::{name}(data)")), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
