//! Passwords: typed on a terminal, or from the first line of a file.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

use crate::Error;
use crate::limits::PASSWORD_OCTETS_MAX;

/// Reads a password: the first line of the file where one is given, else it is asked for on the terminal, twice where
/// it is a new one. It is never an argument: every process of a machine can read those.
///
/// # Errors
/// [`Error::Usage`] where it is empty, too long, not the same twice, or there is no terminal; [`Error::File`].
///
/// keeps: CLI-8
pub fn read_password(file: Option<&Path>, prompt: &str, twice: bool) -> Result<control::Password, Error> {
    let password = match file {
        Some(path) => first_line(path)?,
        None => asked(prompt, twice)?,
    };
    if password.is_empty() || password.len() > PASSWORD_OCTETS_MAX {
        return Err(Error::usage(format!("a password has 1 to {PASSWORD_OCTETS_MAX} octets")));
    }
    Ok(control::Password::new(password))
}

fn first_line(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let file = File::open(path).map_err(Error::file(path))?;
    // One line end and one octet more than may be, so that what is too long is seen.
    let octets_max = PASSWORD_OCTETS_MAX as u64 + 3;
    file.take(octets_max).read_to_string(&mut text).map_err(Error::file(path))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn asked(prompt: &str, twice: bool) -> Result<String, Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage {
            text: "there is no terminal to ask for the password".to_owned(),
            hint: Some(
                "write it into a file that only you can read, and name that with --password-file".to_owned(),
            ),
        });
    }
    let password = rpassword::prompt_password(format!("{prompt}: "))?;
    if twice && rpassword::prompt_password(format!("{prompt}, again: "))? != password {
        return Err(Error::usage("that was not the same password twice"));
    }
    Ok(password)
}
