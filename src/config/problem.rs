//! What is wrong with a file, where, and what to do about it. Never the value of a secret.

use std::fmt;

/// Where something stands: file, line and column counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name as the operator gave it, or where else the value came from.
    pub file: String,
    /// Line, from 1; 0 where there are no lines (an environment variable, a missing file).
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// A place without lines.
    pub fn whole(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{}:{}", self.file, line, self.column),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key's full name, such as `client[3].secret[0].hash`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that was found in one reading: errors, which refuse the file, and warnings, which do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// What refuses the file.
    pub errors: Vec<Problem>,
    /// What the operator should know.
    pub warnings: Vec<Problem>,
}

impl Problems {
    /// Adds an error.
    pub fn error(&mut self, place: Place, key: impl Into<String>, message: impl Into<String>) {
        self.errors.push(Problem { place, key: key.into(), message: message.into() });
    }

    /// Adds a warning.
    pub fn warning(&mut self, place: Place, key: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Problem { place, key: key.into(), message: message.into() });
    }

    /// Puts everything in the order of files and lines.
    pub fn sort(&mut self) {
        self.errors.sort();
        self.warnings.sort();
    }

    /// Takes over what another reading found.
    pub fn absorb(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
    }
}

/// A file, or several, that cannot be used: every error in it, in the order of the lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let end = if index + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "{problem}{end}")?;
        }
        Ok(())
    }
}
