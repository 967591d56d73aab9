//! What a person should know of the data before a training.

use luthier_core::Params;
use luthier_train::Experiment;
use luthier_train::data::Screening;

use super::Failure;
use super::output::tell;

/// What the source, the screening and the preprocessing of the data have to say; the latter with these
/// parameters.
pub(crate) fn notices(experiment: &Experiment, params: &Params) -> Result<Vec<String>, Failure> {
    let data = experiment.dataset();
    let mut notices = data.notices.clone();
    notices.extend(Screening::of(data, experiment.split())?.notices());
    // Parameters that cannot be trained are reported where they are trained.
    if let Ok(setup) = experiment.setup(params, 0) {
        notices.extend(setup.data.preprocessor().notices.iter().cloned());
    }
    Ok(notices)
}

/// Tells them on stderr.
pub(crate) fn tell_notices(experiment: &Experiment, params: &Params) -> Result<(), Failure> {
    notices(experiment, params)?.iter().for_each(|notice| tell(&format!("note: {notice}")));
    Ok(())
}
