//! An access list of the file's own. Each function with something unsafe in it is one question to Windows, or one order.

use std::{
    ffi::{OsStr, OsString, c_void},
    fs::File,
    io,
    os::windows::{
        ffi::{OsStrExt, OsStringExt},
        io::{FromRawHandle, OwnedHandle},
    },
    path::{Path, PathBuf},
    ptr,
};

use windows_sys::Win32::{
    Foundation::{ERROR_SUCCESS, GENERIC_WRITE, INVALID_HANDLE_VALUE, LocalFree},
    Security::{
        Authorization::{
            ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
            ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1,
            SE_FILE_OBJECT,
        },
        DACL_SECURITY_INFORMATION, GetTokenInformation, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR,
        SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser,
    },
    Storage::FileSystem::{CREATE_NEW, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_READ},
    System::Threading::{GetCurrentProcess, OpenProcessToken},
};

use super::{Exposed, sddl};

/// A token's user in 64-bit words: two for where it lies and what it is, and 68 bytes for the longest name there is.
const USER_WORDS: usize = 2 + 9;
/// Far above the longest text that Windows makes of an access list, in letters.
const MAX_TEXT: usize = 1 << 16;

pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let path = whole(path)?;
    let services = path.parent().map(rights).transpose()?.map(|list| sddl::services(&list));
    create(&path, &sddl::own(&user()?, &services.unwrap_or_default()))
}

pub(super) fn exposed(path: &Path) -> io::Result<Option<Exposed>> {
    let user = user()?;
    // The same name as in the list: Windows has short ones for some.
    let name = text(&Descriptor::parse(&format!("O:{user}"))?)?;
    let strangers = sddl::strangers(&rights(&whole(path)?)?, name.trim_start_matches("O:"));
    if strangers.is_empty() {
        return Ok(None);
    }
    let removed: String = strangers.iter().map(|whom| format!(" \"*{}\"", number(whom))).collect();
    let mend = format!(
        "icacls \"{}\" /inheritance:r /grant:r \"*{user}:F\" \"*S-1-5-18:F\" \"*S-1-5-32-544:F\" /remove:g{removed}",
        path.display()
    );
    Ok(Some(Exposed { how: format!("access list with {}", strangers.join(", ")), mend }))
}

pub(super) fn keeps_out_services(path: &Path) -> io::Result<bool> {
    let path = whole(path)?;
    let of_folder = path.parent().map(rights).transpose()?.unwrap_or_default();
    Ok(sddl::keeps_out(&rights(&path)?, &sddl::services(&of_folder)))
}

/// What icacls knows an account by: a number, in place of the short names of SDDL.
fn number(whom: &str) -> &str {
    match whom {
        sddl::EVERYBODY => "S-1-1-0",
        "BU" => "S-1-5-32-545",
        "AU" => "S-1-5-11",
        "IU" => "S-1-5-4",
        "BG" => "S-1-5-32-546",
        "AC" => "S-1-15-2-1",
        other => other,
    }
}

/// The account of this process.
fn user() -> io::Result<String> {
    let (mut token, mut length, mut user, mut name) = (ptr::null_mut(), 0, [0_u64; USER_WORDS], ptr::null_mut());
    #[expect(unsafe_code, reason = "calls of the system that Rust has no name for")]
    // SAFETY: the token is closed by its owner; `user` is as long as is said, aligned for what is written there, and read
    // after the call has succeeded; `name` is the system's until its owner frees it, and ends with a zero.
    unsafe {
        done(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token))?;
        let token = OwnedHandle::from_raw_handle(token);
        let size = u32::try_from(size_of_val(&user)).unwrap_or(0);
        let handle = std::os::windows::io::AsRawHandle::as_raw_handle(&token);
        done(GetTokenInformation(handle, TokenUser, user.as_mut_ptr().cast(), size, &mut length))?;
        done(ConvertSidToStringSidW((*user.as_ptr().cast::<TOKEN_USER>()).User.Sid, &mut name))?;
        Ok(Local(name.cast()).text())
    }
}

/// The owner and the access list of a file or a folder.
fn rights(path: &Path) -> io::Result<String> {
    let path = wide(path.as_os_str());
    let mut descriptor = ptr::null_mut();
    #[expect(unsafe_code, reason = "a call of the system that Rust has no name for")]
    // SAFETY: `path` ends with a zero; `descriptor` is the system's until its owner frees it; what is not wanted is null, as
    // the call allows.
    let asked = unsafe {
        GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut descriptor,
        )
    };
    match asked {
        ERROR_SUCCESS => text(&Descriptor(Local(descriptor))),
        code => Err(io::Error::from_raw_os_error(code.cast_signed())),
    }
}

/// A file with these rights from the moment on in which it is there. Others may read it meanwhile, as far as these say.
fn create(path: &Path, rights: &str) -> io::Result<File> {
    let (path, descriptor) = (wide(path.as_os_str()), Descriptor::parse(rights)?);
    let attributes = SECURITY_ATTRIBUTES {
        nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or(0),
        lpSecurityDescriptor: descriptor.0.0,
        bInheritHandle: 0,
    };
    #[expect(unsafe_code, reason = "what Rust's own call has no word for: whose the file is")]
    // SAFETY: `path` ends with a zero; `attributes` and what it points to live until the call has come back; the handle is
    // nobody else's.
    unsafe {
        let handle = CreateFileW(
            path.as_ptr(),
            GENERIC_WRITE,
            FILE_SHARE_READ,
            &attributes,
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            ptr::null_mut(),
        );
        if handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from_raw_handle(handle))
    }
}

/// Something that the system has made for us, and takes back.
struct Local(*mut c_void);

impl Local {
    /// Where it is a text: that text.
    #[expect(unsafe_code, reason = "a text of the system's")]
    // SAFETY: it must be a text in UTF-16 that ends with a zero.
    unsafe fn text(&self) -> String {
        let text = self.0.cast::<u16>();
        // SAFETY: no letter behind the zero is looked at.
        let letters =
            unsafe { std::slice::from_raw_parts(text, (0..MAX_TEXT).take_while(|at| *text.add(*at) != 0).count()) };
        OsString::from_wide(letters).to_string_lossy().into_owned()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "a call of the system that Rust has no name for")]
        // SAFETY: it came from a call that says it is to be freed so, and it is used no more.
        unsafe {
            LocalFree(self.0);
        }
    }
}

/// An owner, an access list or both.
struct Descriptor(Local);

impl Descriptor {
    fn parse(text: &str) -> io::Result<Self> {
        let (text, mut descriptor): (_, PSECURITY_DESCRIPTOR) = (wide(OsStr::new(text)), ptr::null_mut());
        #[expect(unsafe_code, reason = "a call of the system that Rust has no name for")]
        // SAFETY: `text` ends with a zero; a size that is not wanted is null, as the call allows.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                ptr::null_mut(),
            )
        };
        done(made).map(|()| Self(Local(descriptor)))
    }
}

fn text(descriptor: &Descriptor) -> io::Result<String> {
    let mut text = ptr::null_mut();
    let what = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    #[expect(unsafe_code, reason = "a call of the system that Rust has no name for")]
    // SAFETY: the descriptor is the system's own; `text` is the system's until its owner frees it, and ends with a zero.
    unsafe {
        done(ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor.0.0,
            SDDL_REVISION_1,
            what,
            &mut text,
            ptr::null_mut(),
        ))?;
        Ok(Local(text.cast()).text())
    }
}

/// In the form that Windows takes at any length; of a file that need not be there, in a folder that is.
fn whole(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(folder.canonicalize()?.join(name))
}

fn done(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn wide(text: &OsStr) -> Vec<u16> {
    text.encode_wide().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_list_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        drop(create_new(&path).unwrap());
        let list = rights(&whole(&path).unwrap()).unwrap();
        assert!(list.contains(&user().unwrap()) || list.contains(";;;LA)"), "{list}");
        assert!(sddl::strangers(&list, &user().unwrap()).is_empty(), "{list}");
    }

    #[test]
    fn what_others_can_read_is_named_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ein Schlüssel.key");
        let open = format!("D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;{})(A;;FR;;;WD)", user().unwrap());
        drop(create(&path, &open).unwrap());
        let said = exposed(&path).unwrap().unwrap();
        assert!(said.how.contains("WD"), "{said:?}");
        let command = format!("icacls \"{}\" /inheritance:r /grant:r \"*{}:F\"", path.display(), user().unwrap());
        assert!(said.mend.starts_with(&command), "{said:?}");
        assert!(said.mend.ends_with("/remove:g \"*S-1-1-0\""), "{said:?}");
    }

    #[test]
    fn no_rights_are_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity.key");
        assert!(create(&path, "no rights").is_err());
        assert!(!path.exists());
    }
}
