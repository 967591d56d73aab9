//! `--devices`: a device for each trial at a time.

use clap::Args;
use luthier::{Loaded, Training};
use luthier_train::data::Progress;
use luthier_train::{device, devices};

use super::Failure;

#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    /// Give each trial that runs at a time a GPU of its own, by numbers (0,1,2,3) or names (cuda:0,cuda:2); so many trials
    /// run at once unless --parallel says otherwise
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(super) devices: Vec<String>,
}

impl DevicesArgs {
    /// Trials at once, where nothing else is said.
    pub(super) fn parallel(&self) -> Option<usize> {
        (!self.devices.is_empty()).then_some(self.devices.len())
    }

    /// A study file with its data, on these devices, or on `name` where there are none.
    pub(super) fn load(
        &self,
        file: &luthier::StudyFile,
        name: &str,
        progress: Progress<'_>,
    ) -> Result<Loaded, Failure> {
        if self.devices.is_empty() {
            return Ok(file.load(device(name).map_err(Failure::usage)?, progress)?);
        }
        let mut devices = devices(name, &self.devices).map_err(Failure::usage)?;
        let others = devices.split_off(1);
        let Some(first) = devices.pop() else { return Err(Failure::usage("--devices names no device")) };
        match file.load(first, progress)? {
            Loaded::Training(training) => Ok(Loaded::Training(Box::new(Training {
                experiment: training.experiment.with_more_devices(others),
                ..*training
            }))),
            Loaded::Command(_) => Err(Failure::usage(
                "--devices is for trainings by [train]; a program chooses its device itself, by LUTHIER_TRIAL if need be",
            )),
        }
    }
}
