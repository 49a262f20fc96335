//! Who may do what in a folder, asked of Windows and told it. Each function is one question, with all that is unsafe in it.

use std::{
    io,
    os::windows::{
        ffi::OsStrExt,
        io::{FromRawHandle, OwnedHandle},
    },
    path::Path,
    ptr,
};

use windows_sys::Win32::{
    Foundation::{ERROR_SUCCESS, LocalFree},
    Security::{
        Authorization::{
            ConvertStringSecurityDescriptorToSecurityDescriptorW, GetNamedSecurityInfoW, SDDL_REVISION_1,
            SE_FILE_OBJECT, SetNamedSecurityInfoW,
        },
        CheckTokenMembership, DACL_SECURITY_INFORMATION, EqualSid, GetSecurityDescriptorDacl,
        GetSecurityDescriptorOwner, GetTokenInformation, OWNER_SECURITY_INFORMATION,
        PROTECTED_DACL_SECURITY_INFORMATION, PSID, TOKEN_QUERY, TOKEN_USER, TokenUser,
    },
    System::Threading::{GetCurrentProcess, OpenProcessToken},
};

/// A token's user in 64-bit words: two for where it lies and what it is, and 68 bytes for the longest name there is.
const USER_WORDS: usize = 2 + 9;

/// Whether the folder belongs to us: to the account of this process or to one of its groups, such as the administrators.
///
/// # Errors
/// Whatever the system says.
pub(super) fn is_ours(folder: &Path) -> io::Result<bool> {
    let path = wide(folder);
    let (mut owner, mut descriptor, mut is_ours) = (ptr::null_mut(), ptr::null_mut(), 0);
    #[expect(unsafe_code, reason = "a call of the system that Rust has no name for")]
    // SAFETY: `path` ends with a zero; `owner` points into `descriptor`, which is the system's until it is freed here, and
    // is read before that; what is not wanted is null, as the call allows.
    unsafe {
        let asked = GetNamedSecurityInfoW(
            path.as_ptr(),
            SE_FILE_OBJECT,
            OWNER_SECURITY_INFORMATION,
            &mut owner,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut descriptor,
        );
        fits(asked)?;
        let told = CheckTokenMembership(ptr::null_mut(), owner, &mut is_ours);
        let told = if told == 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        // Wine counts groups only.
        let is_me = told.and_then(|()| is_me(owner));
        LocalFree(descriptor);
        is_me.map(|is_me| is_me || is_ours != 0)
    }
}

/// Whether that is the account of this process.
#[expect(unsafe_code, reason = "a call of the system that Rust has no name for")]
// SAFETY: `account` must be one, as from the system.
unsafe fn is_me(account: PSID) -> io::Result<bool> {
    let (mut token, mut length, mut user) = (ptr::null_mut(), 0, [0_u64; USER_WORDS]);
    // SAFETY: the token is closed by its owner; `user` is as long as is said, and aligned for what is written there, which
    // is read after the call has succeeded.
    unsafe {
        if OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) == 0 {
            return Err(io::Error::last_os_error());
        }
        let _token = OwnedHandle::from_raw_handle(token);
        let size = u32::try_from(size_of_val(&user)).unwrap_or(0);
        if GetTokenInformation(token, TokenUser, user.as_mut_ptr().cast(), size, &mut length) == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(EqualSid((*user.as_ptr().cast::<TOKEN_USER>()).User.Sid, account) != 0)
    }
}

/// Gives the folder, and what takes its rights from it, the owner and the rights of this text (SDDL).
///
/// # Errors
/// Whatever the system says.
pub(super) fn set(folder: &Path, rights: &str) -> io::Result<()> {
    let (path, text) = (wide(folder), wide(Path::new(rights)));
    let (mut descriptor, mut owner, mut dacl) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    let (mut given, mut defaulted) = (0, 0);
    #[expect(unsafe_code, reason = "calls of the system that Rust has no name for")]
    // SAFETY: `path` and `text` end with a zero; `owner` and `dacl` point into `descriptor`, which is the system's until it
    // is freed here, after their last use; a size that is not wanted is null, as the call allows.
    unsafe {
        let made = ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            &mut descriptor,
            ptr::null_mut(),
        );
        if made == 0 {
            return Err(io::Error::last_os_error());
        }
        let read = GetSecurityDescriptorOwner(descriptor, &mut owner, &mut defaulted) != 0
            && GetSecurityDescriptorDacl(descriptor, &mut given, &mut dacl, &mut defaulted) != 0;
        let done = if read {
            let what = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
            fits(SetNamedSecurityInfoW(path.as_ptr(), SE_FILE_OBJECT, what, owner, ptr::null_mut(), dacl, ptr::null()))
        } else {
            Err(io::Error::last_os_error())
        };
        LocalFree(descriptor);
        done
    }
}

fn fits(code: u32) -> io::Result<()> {
    match code {
        ERROR_SUCCESS => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.cast_signed())),
    }
}

fn wide(text: &Path) -> Vec<u16> {
    text.as_os_str().encode_wide().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use starling_protocol::owner_only;

    use super::{super::super::account, *};

    #[test]
    fn a_folder_can_be_made_private_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let rights = account::folder_rights();
        for _ in 0..2 {
            assert!(is_ours(dir.path()).unwrap());
            set(dir.path(), &rights).unwrap();
        }
        std::fs::write(dir.path().join("file"), "still ours to write").unwrap();
        assert!(is_ours(&dir.path().join("nothing")).is_err());
        assert!(set(dir.path(), "no rights").is_err());
    }

    /// Made by somebody who joins, and then the service's; or made when there is one already.
    #[test]
    fn a_key_is_no_strangers_before_and_after_the_service_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("identity.key");
        drop(owner_only::create_new(&key).unwrap());
        assert_eq!(owner_only::exposed(&key).unwrap(), None);
        set(dir.path(), &account::folder_rights()).unwrap();
        owner_only::let_in_services(&key).unwrap();
        assert_eq!(owner_only::exposed(&key).unwrap(), None);
        let later = dir.path().join("later.key");
        drop(owner_only::create_new(&later).unwrap());
        assert_eq!(owner_only::exposed(&later).unwrap(), None);
    }
}
