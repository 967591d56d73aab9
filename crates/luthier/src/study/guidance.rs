//! What is known of a study beforehand, and what it says of its parameters.

use indexmap::IndexMap;
use luthier_core::{Distribution, History, Parameter, Space, Value};
use luthier_search::importance::{Importances, Method, front_importance, importance};

use super::{Start, Study, StudyError};

/// The smallest ranges that hold the values of all trials.
fn seen(history: &History) -> Space {
    let mut values: IndexMap<&str, Vec<&Value>> = IndexMap::new();
    for (name, value) in history.trials().iter().flat_map(|trial| &trial.params) {
        values.entry(name).or_default().push(value);
    }
    let range = |values: &[&Value]| {
        if let Some(numbers) = values.iter().map(|value| value.as_i64()).collect::<Option<Vec<i64>>>() {
            let ends = numbers.iter().min().zip(numbers.iter().max());
            return ends.map(|(low, high)| Distribution::int(*low, *high));
        }
        if let Some(numbers) = values.iter().map(|value| value.as_f64()).collect::<Option<Vec<f64>>>() {
            let ends = numbers.iter().copied().reduce(f64::min).zip(numbers.iter().copied().reduce(f64::max));
            return ends.map(|(low, high)| Distribution::float(low, high));
        }
        let mut options: Vec<Value> = Vec::new();
        for value in values {
            if !options.contains(value) {
                options.push((*value).clone());
            }
        }
        Some(Distribution::Choice { options })
    };
    let parameters = values.iter().filter_map(|(name, values)| Some(Parameter::new(*name, range(values)?)));
    // Ranges of what was stored can be used, and names differ.
    Space::new(parameters).unwrap_or_default()
}

impl Study {
    /// Gives the next trial that begins without one these values, by the names that it will ask for; what is left out is
    /// chosen by the sampler. Configurations wait in this object, not in the storage.
    ///
    /// A value outside the range that its trial asks with is an error there, a name that the trial never asks for one when
    /// it is told.
    ///
    /// ```
    /// # use luthier::Study;
    /// let study = Study::builder("parabola").in_memory()?;
    /// study.enqueue([("x", 2.0)]);
    /// study.optimize(5, |trial| Ok((trial.suggest_float("x", -10.0..=10.0).get()? - 2.0).powi(2)))?;
    /// assert_eq!(study.best().map(|best| best.value), Some(0.0));
    /// # Ok::<(), luthier::StudyError>(())
    /// ```
    pub fn enqueue<N: Into<String>, V: Into<Value>>(&self, params: impl IntoIterator<Item = (N, V)>) {
        let params = params.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.queue().push_back(Start { params: params.collect(), strict: true });
    }

    /// Gives the next trials the best configurations of an earlier study that differ, [`STARTS`](luthier_search::STARTS) at
    /// most. Values outside the ranges that trials ask with, and of parameters that they do not ask for, are left out.
    pub fn warm_start(&self, earlier: &History) {
        let view = earlier.view();
        let mut space = self.source.space(&view);
        if space.is_empty() {
            // The trials of the earlier study have asked for nothing: it knew its space.
            space = seen(earlier);
        }
        let leaders = luthier_search::leaders(&view, &space, luthier_search::STARTS);
        self.queue().extend(leaders.into_iter().map(|params| Start { params, strict: false }));
    }

    /// Which parameters made a difference to an objective: the first one, or a further one by its name. See
    /// [`importance`](luthier_search::importance).
    ///
    /// # Errors
    ///
    /// If there is no such objective, there are too few complete trials, or nothing differs.
    pub fn importance(&self, method: Method, objective: Option<&str>) -> Result<Importances, StudyError> {
        let ledger = self.ledger();
        let definition = &ledger.study().definition;
        let place = match objective {
            None => 0,
            Some(name) => definition.objectives().position(|known| known == name).ok_or_else(|| {
                let known = definition.objectives().collect::<Vec<_>>().join(" or ");
                StudyError::Objective { name: name.to_owned(), known }
            })?,
        };
        let view = ledger.history().view();
        Ok(importance(method, place, &view, &self.source.space(&view), definition.seed)?)
    }

    /// Which parameters made a difference to how near a trial is to the Pareto front, by PED-ANOVA.
    ///
    /// # Errors
    ///
    /// If there are too few complete trials, or all are on one front.
    pub fn front_importance(&self) -> Result<Importances, StudyError> {
        let ledger = self.ledger();
        let view = ledger.history().view();
        Ok(front_importance(&view, &self.source.space(&view))?)
    }
}
