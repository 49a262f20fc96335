//! The event log of Windows: a few lines in the life of a service, where its administrator looks.
//!
//! Windows shows the text of an event out of a program's file of messages. `EventCreate.exe`, which is part of Windows,
//! has one whose messages 1 to 1000 are nothing but what they are given: with that no file of ours is needed.

use std::{io, ptr};

use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, RegisterEventSourceW,
    ReportEventW,
};

use super::{super::events::Event, NAME, control};

const SOURCE: &str = "SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\starling-node";
const MESSAGES: &str = "%SystemRoot%\\System32\\EventCreate.exe";
/// Errors, warnings, information.
const TYPES: u32 = 7;
/// A quarter of what an event may hold.
const MAX_CHARACTERS: usize = 8_000;

/// Makes our name known to the event log.
pub(super) fn register() -> io::Result<()> {
    let source = LOCAL_MACHINE.create(SOURCE).map_err(io::Error::from)?;
    source.set_expand_string("EventMessageFile", MESSAGES)?;
    source.set_u32("TypesSupported", TYPES)?;
    Ok(())
}

/// Takes it away, if it is there.
pub(super) fn unregister() -> io::Result<()> {
    if LOCAL_MACHINE.open(SOURCE).is_err() {
        return Ok(());
    }
    LOCAL_MACHINE.remove_tree(SOURCE).map_err(io::Error::from)
}

/// Notes it, if this process is the service.
pub(in crate::service) fn note(event: Event, what: &str) {
    if !control::is_service() {
        return;
    }
    let (kind, id) = match event {
        Event::Started => (EVENTLOG_INFORMATION_TYPE, 1),
        Event::Stopped => (EVENTLOG_INFORMATION_TYPE, 2),
        Event::Failed => (EVENTLOG_ERROR_TYPE, 3),
        Event::Attention => (EVENTLOG_WARNING_TYPE, 4),
    };
    if let Err(error) = report(kind, id, what) {
        tracing::debug!(%error, "the event log was not told");
    }
}

fn report(kind: u16, id: u32, what: &str) -> io::Result<()> {
    let wide = |text: &str| text.encode_utf16().filter(|unit| *unit != 0).take(MAX_CHARACTERS).chain([0]).collect();
    let (name, text): (Vec<u16>, Vec<u16>) = (wide(NAME), wide(what));
    let texts = [text.as_ptr()];
    #[expect(unsafe_code, reason = "calls of the system that Rust has no name for")]
    // SAFETY: both texts end with a zero and outlive the calls; there is one text and no data, as the counts say; the
    // handle is closed once, and not used after that.
    unsafe {
        let source = RegisterEventSourceW(ptr::null(), name.as_ptr());
        if source.is_null() {
            return Err(io::Error::last_os_error());
        }
        let told = ReportEventW(source, kind, 0, id, ptr::null_mut(), 1, 0, texts.as_ptr(), ptr::null());
        let error = io::Error::last_os_error();
        DeregisterEventSource(source);
        if told == 0 { Err(error) } else { Ok(()) }
    }
}
