//! Programs as objectives need process groups and signals, which systems other than Unix do not have.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use super::log::Log;
use super::report::{Reader, Reported};
use super::{Start, Status};

pub(super) enum Happening {
    #[allow(dead_code, reason = "no program ever runs")]
    Report(Result<Reported, String>),
    #[allow(dead_code, reason = "no program ever runs")]
    Nothing,
    #[allow(dead_code, reason = "no program ever runs")]
    Ended(Status),
}

pub(super) struct Process(Infallible);

impl Process {
    pub(super) fn start(_: &Start<'_>, _: Reader, _: [Log; 2]) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "programs as objectives run on Linux and macOS alone"))
    }

    pub(super) fn next(&mut self, _: Duration) -> Happening {
        match self.0 {}
    }

    pub(super) fn ask_to_end(&mut self, _: Duration) {
        match self.0 {}
    }

    pub(super) fn end(&mut self) {
        match self.0 {}
    }

    pub(super) fn memory_above(&self, _: u64) -> Option<u64> {
        match self.0 {}
    }

    pub(super) fn logs(&self) -> [Log; 2] {
        match self.0 {}
    }
}
