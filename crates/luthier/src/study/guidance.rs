//! What a study says of its parameters.

use luthier_search::importance::{Importances, Method, importance, suggested_space};

use super::{Study, StudyError};

impl Study {
    /// Which parameters made a difference. See [`importance`](luthier_search::importance).
    ///
    /// # Errors
    ///
    /// If there are too few complete trials, or nothing differs.
    pub fn importance(&self, method: Method) -> Result<Importances, StudyError> {
        let ledger = self.ledger();
        let view = ledger.history().view();
        let seed = ledger.study().definition.seed;
        Ok(importance(method, &view, &suggested_space(&view), seed)?)
    }
}
