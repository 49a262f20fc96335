use std::{
    fs,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
};

use super::*;

const LIMIT: Duration = Duration::from_secs(30);

/// A disk that takes a line when it is let, and is full when it is said to be.
struct Disk {
    begins: SyncSender<()>,
    goes_on: Receiver<()>,
    full: Arc<AtomicBool>,
    taken: SyncSender<Vec<u8>>,
}

impl Sink for Disk {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let _ = self.begins.send(());
        // A test that is over lets everything go on.
        let _ = self.goes_on.recv_timeout(LIMIT);
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let _ = self.taken.send(line.to_vec());
        Ok(())
    }
}

struct Test {
    log: LogFile,
    guard: Option<LogGuard>,
    begins: Receiver<()>,
    go_on: Option<SyncSender<()>>,
    full: Arc<AtomicBool>,
    taken: Receiver<Vec<u8>>,
    told: Receiver<u64>,
}

impl Test {
    fn new() -> Self {
        let (begins, has_begun) = mpsc::sync_channel(10_000);
        let (go_on, goes_on) = mpsc::sync_channel(10_000);
        let (taken, was_taken) = mpsc::sync_channel(10_000);
        let (tell, told) = mpsc::sync_channel(100);
        let full = Arc::new(AtomicBool::new(false));
        let disk = Disk { begins, goes_on, full: full.clone(), taken };
        let (log, guard) = LogFile::start(disk, move |lost| tell.send(lost).unwrap()).unwrap();
        Self { log, guard: Some(guard), begins: has_begun, go_on: Some(go_on), full, taken: was_taken, told }
    }

    fn say(&self, line: &[u8]) {
        assert_eq!((&self.log).write(line).unwrap(), line.len());
    }

    fn lets_go_on(&self) {
        self.go_on.as_ref().unwrap().send(()).unwrap();
    }
}

#[test]
fn a_slow_disk_holds_nobody_up_and_what_is_lost_is_told_once_it_goes_on() {
    let test = Test::new();
    let line = vec![b'x'; MAX_LINE_BYTES];
    test.say(&line);
    test.begins.recv_timeout(LIMIT).unwrap();
    // The first one is still counted: it is at the disk.
    for _ in 1..MAX_QUEUE_BYTES / MAX_LINE_BYTES + 3 {
        test.say(&line);
    }
    assert_eq!(test.log.0.lock().bytes, MAX_QUEUE_BYTES);
    assert_eq!(test.log.0.lock().lost, 3);
    test.lets_go_on();
    assert_eq!(test.taken.recv_timeout(LIMIT).unwrap(), line);
    assert_eq!(test.told.recv_timeout(LIMIT).unwrap(), 3);
    assert_eq!(test.log.0.lock().lost, 0);
}

#[test]
fn a_full_disk_loses_lines_and_nothing_else() {
    let test = Test::new();
    test.full.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        test.say(b"lost\n");
        test.lets_go_on();
        test.begins.recv_timeout(LIMIT).unwrap();
    }
    // Only when the third is at the disk is it known that the second was not taken.
    test.say(b"kept\n");
    test.begins.recv_timeout(LIMIT).unwrap();
    test.full.store(false, Ordering::Relaxed);
    test.lets_go_on();
    assert_eq!(test.taken.recv_timeout(LIMIT).unwrap(), b"kept\n");
    assert_eq!(test.told.recv_timeout(LIMIT).unwrap(), 2);
}

#[test]
fn an_orderly_end_loses_nothing() {
    let mut test = Test::new();
    let lines: Vec<_> = (0..1000).map(|n| format!("line {n}\n").into_bytes()).collect();
    for line in &lines {
        test.say(line);
        test.lets_go_on();
    }
    test.guard = None;
    assert_eq!(test.taken.try_iter().collect::<Vec<_>>(), lines);
    test.say(b"too late\n");
    assert_eq!(test.log.0.lock().lost, 1);
}

#[test]
fn an_end_waits_for_no_dead_disk() {
    let test = Test::new();
    test.say(b"never taken\n");
    test.begins.recv_timeout(LIMIT).unwrap();
    test.log.0.flush(Duration::from_millis(10));
    assert!(test.log.0.lock().closed && test.taken.try_recv().is_err());
}

#[test]
fn a_line_without_end_is_cut() {
    let test = Test::new();
    test.lets_go_on();
    test.say(&vec![b'x'; MAX_QUEUE_BYTES + 1]);
    let taken = test.taken.recv_timeout(LIMIT).unwrap();
    assert_eq!((taken.len(), taken.last()), (MAX_LINE_BYTES + 1, Some(&b'\n')));
}

fn rotating(path: &Path, files: u32) -> Rotating {
    Rotating::new(path, Rotation { limit_bytes: 10, files })
}

fn read(path: &Path, end: &str) -> Option<String> {
    fs::read_to_string(path.with_extension(format!("log{end}"))).ok()
}

#[test]
fn full_files_move_on_and_the_oldest_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep").join("x.log");
    let mut log = rotating(&path, 3);
    for number in 0..9 {
        log.append(format!("{number}---\n").as_bytes()).unwrap();
    }
    let expected = ["8---\n", "6---\n7---\n", "4---\n5---\n"].map(|text| Some(text.to_owned()));
    assert_eq!([read(&path, ""), read(&path, ".1"), read(&path, ".2")], expected);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 3);
    // A new start goes on behind what is there.
    let mut again = rotating(&path, 3);
    again.append(b"9---\n").unwrap();
    assert_eq!(read(&path, "").unwrap(), "8---\n9---\n");
    again.append(b"longer than all of a file\n").unwrap();
    again.append(b"next\n").unwrap();
    assert_eq!(read(&path, "").unwrap(), "next\n");
    assert_eq!(read(&path, ".1").unwrap(), "longer than all of a file\n");
}

#[test]
fn one_file_is_the_only_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.log");
    let mut log = rotating(&path, 1);
    for _ in 0..5 {
        log.append(b"12345678\n").unwrap();
    }
    assert_eq!(read(&path, "").unwrap(), "12345678\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_cannot_be_moved_grows_within_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.log");
    let mut log = rotating(&path, 2);
    log.append(b"first\n").unwrap();
    // A folder is in its way, with something in it.
    fs::create_dir_all(dir.path().join("x.log.1").join("in")).unwrap();
    log.append(b"second\n").unwrap();
    assert_eq!(read(&path, "").unwrap(), "first\nsecond\n");
    assert!(log.append(b"third, which is too long\n").is_err());
    fs::remove_dir_all(dir.path().join("x.log.1")).unwrap();
    log.append(b"fourth\n").unwrap();
    assert_eq!(read(&path, "").unwrap(), "fourth\n");
}

/// Windows lets nobody take an open file away.
#[cfg(unix)]
#[test]
fn a_folder_that_is_gone_comes_back_with_the_next_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("logs").join("x.log");
    let mut log = rotating(&path, 2);
    log.append(b"first\n").unwrap();
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    log.append(b"second\n").unwrap();
    assert_eq!(read(&path, "").unwrap(), "second\n");
}

/// A real disk that is really full, where one can be made.
#[cfg(target_os = "linux")]
#[test]
fn a_full_tmpfs_takes_the_log_up_again_when_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, done) = (dir.path().join("disk"), dir.path().join("done"));
    fs::create_dir(&disk).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "starling-log"])
        .arg(&disk)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        return;
    }
    let told = {
        let _unmount = Unmount(disk.clone());
        let rotation = Rotation { limit_bytes: 1 << 20, files: 3 };
        let (tell, told) = mpsc::sync_channel(10);
        let file = Rotating::new(&disk.join("x.log"), rotation);
        let (log, guard) = LogFile::start(file, move |lost| tell.send(lost).unwrap()).unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..100 {
            (&log).write_all(&line).unwrap();
        }
        log.0.flush_without_end();
        assert!(log.0.lock().lost >= 36, "{} lost", log.0.lock().lost);
        fs::File::options().write(true).open(disk.join("x.log")).unwrap().set_len(0).unwrap();
        (&log).write_all(b"room again\n").unwrap();
        drop(guard);
        fs::copy(disk.join("x.log"), &done).unwrap();
        told.recv_timeout(LIMIT).unwrap()
    };
    assert!(told >= 36, "{told} told");
    assert!(fs::read_to_string(&done).unwrap().ends_with("room again\n"));
}

#[cfg(target_os = "linux")]
struct Unmount(std::path::PathBuf);

#[cfg(target_os = "linux")]
impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

impl Queue {
    /// Waits until nothing waits.
    fn flush_without_end(&self) {
        let busy = |state: &mut State| !state.lines.is_empty() || state.writing;
        let (_state, waited) = self.changed.wait_timeout_while(self.lock(), LIMIT, busy).unwrap();
        assert!(!waited.timed_out());
    }
}
