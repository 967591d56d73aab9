//! A trial of a study from Rust: its parameters, one by one, and its reports.

use std::time::Instant;

use luthier_core::config::nearest;
use luthier_core::{
    Decision, Distribution, Event, Metrics, Parameter, Params, Prior, Report, Space, StopReason, Streams,
    TrialId, Value,
};
use luthier_search::Proposal;

use super::source::Source;
use super::{Study, StudyError, draws, tell};

/// Values that a trial begins with.
#[derive(Debug, Clone, Default)]
pub(super) struct Start {
    pub(super) params: Params,
    /// Whether a value that the trial cannot have is an error.
    pub(super) strict: bool,
}

/// A running trial of a [`Study`].
pub struct Trial<'s> {
    study: &'s Study,
    id: TrialId,
    stopped: Option<StopReason>,
    measured: Metrics,
    began: Instant,
    asking: Asking,
}

/// Where a trial has its values from.
struct Asking {
    /// Values that it begins with.
    start: Start,
    /// The others.
    proposal: Proposal,
}

impl<'s> Trial<'s> {
    pub(super) fn new(study: &'s Study, id: TrialId, proposal: Proposal, start: Start) -> Self {
        let asking = Asking { start, proposal };
        Self { study, id, stopped: None, measured: Metrics::default(), began: Instant::now(), asking }
    }

    /// The first of the values that it began with that it has not asked for.
    pub(super) fn unasked(&self) -> Option<StudyError> {
        if !self.asking.start.strict {
            return None;
        }
        let ledger = self.study.ledger();
        let asked = &ledger.history().trial(self.id)?.suggested;
        let name = self.asking.start.params.keys().find(|name| !asked.contains_key(*name))?;
        let near = nearest(name, asked.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let reason = format!("it was enqueued, and trial {} never asked for it{hint}", self.id);
        Some(StudyError::Parameter { name: name.clone(), reason })
    }

    /// Its number, the seconds that it took, why it was told to stop, if it was, and what it has measured.
    pub(super) fn end(self) -> (TrialId, f64, Option<StopReason>, Metrics) {
        (self.id, self.began.elapsed().as_secs_f64(), self.stopped, self.measured)
    }
}

impl Trial<'_> {
    /// Its number.
    pub fn id(&self) -> TrialId {
        self.id
    }

    /// Its parameters: all of them where the study has a [space](super::StudyBuilder::space), else those that it has asked for.
    pub fn params(&self) -> Params {
        let ledger = self.study.ledger();
        ledger.history().trial(self.id).map(|trial| trial.params.clone()).unwrap_or_default()
    }

    /// A number from a range: `trial.suggest_float("lr", 1e-5..=1e-1).log().get()?`.
    pub fn suggest_float(&mut self, name: &str, range: std::ops::RangeInclusive<f64>) -> Suggest<'_, f64> {
        self.suggest(name, Distribution::float(*range.start(), *range.end()))
    }

    /// A whole number from a range.
    pub fn suggest_int(&mut self, name: &str, range: std::ops::RangeInclusive<i64>) -> Suggest<'_, i64> {
        self.suggest(name, Distribution::int(*range.start(), *range.end()))
    }

    /// One of several options.
    ///
    /// # Errors
    ///
    /// As [`Suggest::get`].
    pub fn suggest_choice<V: Into<Value> + Clone>(
        &mut self,
        name: &str,
        options: &[V],
    ) -> Result<V, StudyError> {
        let values: Vec<Value> = options.iter().cloned().map(Into::into).collect();
        let parameter = Parameter::new(name, Distribution::Choice { options: values.clone() });
        let chosen = suggest_value(self.study, self.id, &self.asking, parameter)?;
        let index = values.iter().position(|value| *value == chosen);
        index.map(|index| options[index].clone()).ok_or_else(|| StudyError::Parameter {
            name: name.to_owned(),
            reason: "it is not one of the options".to_owned(),
        })
    }

    fn suggest<T>(&mut self, name: &str, distribution: Distribution) -> Suggest<'_, T> {
        Suggest {
            study: self.study,
            id: self.id,
            asking: &self.asking,
            parameter: Parameter::new(name, distribution),
            value: std::marker::PhantomData,
        }
    }

    /// Says what else was measured: a further objective, or what a constraint is on. The last value of a metric counts,
    /// and is stored with each report and with the trial's end.
    pub fn measure(&mut self, metric: &str, value: f64) {
        self.measured.insert(metric, value);
    }

    /// Tells how the trial stands after `step` (from 1, rising), and hears whether to go on.
    ///
    /// # Errors
    ///
    /// If it cannot be stored, or steps do not rise.
    pub fn report(&mut self, step: u64, value: f64) -> Result<Decision, StudyError> {
        let mut ledger = self.study.ledger();
        let report = Report { step, value, metrics: self.measured.clone() };
        tell(&mut ledger, self.id, &Event::Reported { trial: self.id, report })?;
        let view = ledger.history().view();
        let Some(trial) = view.get_unfinished(self.id) else { return Ok(Decision::Continue) };
        let mut rng = Streams::new(ledger.study().definition.seed).of_decision(self.id, step);
        let decision = self.study.source.decide(&view, &trial, &mut rng);
        if let Decision::Stop(reason) = &decision {
            self.stopped = Some(reason.clone());
        }
        Ok(decision)
    }
}

fn suggest_value(
    study: &Study,
    id: TrialId,
    asking: &Asking,
    mut parameter: Parameter,
) -> Result<Value, StudyError> {
    let mut ledger = study.ledger();
    let (name, distribution) = (parameter.name.as_str(), &parameter.distribution);
    let wrong = |reason: String| StudyError::Parameter { name: name.to_owned(), reason };
    if let Some(trial) = ledger.history().trial(id)
        && let (Some(value), Some(before)) = (trial.params.get(name), trial.suggested.get(name))
    {
        // Asked for twice: the same answer, as long as it is the same question.
        if before == distribution {
            return Ok(value.clone());
        }
        return Err(wrong(format!("it was asked for with the range {before}, and now with {distribution}")));
    }
    distribution.check().map_err(|error| wrong(error.to_string()))?;
    let sampler = match &study.source {
        Source::Asked { sampler, .. } => sampler,
        Source::Known { space, .. } => {
            let trial = ledger.history().trial(id);
            return known_value(space, trial.map(|trial| &trial.params), &parameter).map_err(wrong);
        }
    };
    if let Some(prior) = &parameter.prior {
        if let Source::Asked { priors: Err(expected), .. } = &study.source {
            return Err(wrong(format!("it has a prior: expected {expected}")));
        }
        parameter.prior = Some(prior.of(distribution).map_err(|reason| wrong(format!("expected {reason}")))?);
    }
    let Asking { start, proposal } = asking;
    let given = start.params.get(name);
    let value = match given.and_then(|value| distribution.adopt(value)) {
        Some(value) => value,
        None if start.strict && given.is_some_and(|value| !distribution.contains(value)) => {
            let found = given.map(ToString::to_string).unwrap_or_default();
            return Err(wrong(format!(
                "{found} was enqueued, and the trial asks for a value of {distribution}"
            )));
        }
        None => {
            let mut rng = draws(&ledger, id);
            proposal.value(&**sampler, &ledger.history().view(), id, &parameter, &mut rng)?
        }
    };
    let event = Event::ParamSuggested {
        trial: id,
        name: name.to_owned(),
        distribution: distribution.clone(),
        value: value.clone(),
        prior: parameter.prior.clone(),
    };
    tell(&mut ledger, id, &event)?;
    Ok(value)
}

/// The value of a parameter in a space that was known beforehand, if it is asked for as it stands there.
fn known_value(space: &Space, params: Option<&Params>, parameter: &Parameter) -> Result<Value, String> {
    let name = parameter.name.as_str();
    let Some(known) = space.get(name) else {
        let near = nearest(name, space.iter().map(|known| known.name.as_str()));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return Err(format!("it is not in the study's space{hint}"));
    };
    if known.distribution != parameter.distribution {
        let (range, asked) = (&known.distribution, &parameter.distribution);
        return Err(format!("in the study's space it is {range}, and the trial asks for {asked}"));
    }
    let value = params.and_then(|params| params.get(name));
    value.cloned().ok_or_else(|| "it does not exist beside the trial's other values".to_owned())
}

/// A parameter that is about to be chosen. [`Suggest::get`] chooses it.
#[must_use = "a parameter is chosen by `get`"]
pub struct Suggest<'t, T> {
    study: &'t Study,
    id: TrialId,
    asking: &'t Asking,
    parameter: Parameter,
    value: std::marker::PhantomData<T>,
}

impl<T> Suggest<'_, T> {
    /// Even on the logarithmic scale.
    pub fn log(mut self) -> Self {
        match &mut self.parameter.distribution {
            Distribution::Float { log, .. } | Distribution::Int { log, .. } => *log = true,
            Distribution::Choice { .. } => {}
        }
        self
    }

    /// Good values are believed to lie around a value: see [`Prior`].
    pub fn believed(mut self, prior: Prior) -> Self {
        self.parameter.prior = Some(prior);
        self
    }

    fn choose(&self) -> Result<Value, StudyError> {
        suggest_value(self.study, self.id, self.asking, self.parameter.clone())
    }

    fn wrong(&self, value: &Value) -> StudyError {
        StudyError::Parameter {
            name: self.parameter.name.clone(),
            reason: format!("the search gave {value}, which is of another kind"),
        }
    }
}

impl Suggest<'_, f64> {
    /// Only the low end and so many steps above it.
    pub fn step(mut self, by: f64) -> Self {
        if let Distribution::Float { step, .. } = &mut self.parameter.distribution {
            *step = Some(by);
        }
        self
    }

    /// Chooses the value.
    ///
    /// # Errors
    ///
    /// If the range cannot be used, is not the one of an earlier question in this trial, or the choice
    /// cannot be stored.
    pub fn get(self) -> Result<f64, StudyError> {
        let value = self.choose()?;
        value.as_f64().ok_or_else(|| self.wrong(&value))
    }
}

impl Suggest<'_, i64> {
    /// Only the low end and so many steps above it.
    pub fn step(mut self, by: i64) -> Self {
        if let Distribution::Int { step, .. } = &mut self.parameter.distribution {
            *step = by;
        }
        self
    }

    /// Chooses the value.
    ///
    /// # Errors
    ///
    /// As for numbers.
    pub fn get(self) -> Result<i64, StudyError> {
        let value = self.choose()?;
        value.as_i64().ok_or_else(|| self.wrong(&value))
    }
}
