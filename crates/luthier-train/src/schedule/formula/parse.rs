//! Reading a formula by recursive descent.

use thiserror::Error;

use super::{CONSTANTS, Expression, FUNCTIONS, Function, Operator, VARIABLES, is_metric, known_names, near};

/// The longest formula, in characters. It bounds the depth of the recursion.
const LONGEST: usize = 500;

/// Why a text is no formula.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {expected}, found {found} at character {column}")]
pub struct FormulaError {
    /// The place, counted in characters from 1.
    pub column: usize,
    /// What can stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
    /// What was perhaps meant.
    pub help: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Name(String),
    /// An operator, a parenthesis or a comma.
    Sign(&'static str),
    End,
}

/// Longer signs before those that they begin with.
const SIGNS: [&str; 16] =
    ["**", "<=", ">=", "==", "!=", "+", "-", "*", "/", "%", "^", "<", ">", "(", ")", ","];

type Levels = &'static [&'static [(&'static str, Operator)]];

/// The operators that are worked out from left to right, loosest first.
const LEVELS: Levels = &[
    &[
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

struct Parser {
    /// With the column of each.
    tokens: Vec<(usize, Token)>,
    next: usize,
}

pub(super) fn parse(text: &str) -> Result<Expression, FormulaError> {
    let length = text.chars().count();
    if length > LONGEST {
        return Err(FormulaError {
            column: LONGEST + 1,
            expected: format!("a formula of at most {LONGEST} characters"),
            found: format!("one of {length}"),
            help: None,
        });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0 };
    let root = parser.level(LEVELS)?;
    match parser.peek() {
        Token::End => Ok(root),
        _ => Err(parser.error("an operator or the end")),
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, FormulaError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let column = text.chars().count() - rest.chars().count() + 1;
        let Some(first) = rest.chars().next() else {
            tokens.push((column, Token::End));
            return Ok(tokens);
        };
        let length = if first.is_ascii_digit() || first == '.' {
            number_length(rest)
        } else if first.is_alphabetic() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else {
            0
        };
        let (word, behind) = rest.split_at(length);
        let error = |expected: &str, found: String| FormulaError {
            column,
            expected: expected.to_owned(),
            found,
            help: None,
        };
        let (token, behind) = if length == 0 {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let expected = "a number, a name, an operator or a parenthesis";
            let sign = sign.ok_or_else(|| error(expected, format!("`{first}`")))?;
            (Token::Sign(sign), &rest[sign.len()..])
        } else if first.is_ascii_digit() || first == '.' {
            let number =
                word.parse().map_err(|_| error("a number such as 0.1 or 1e-3", format!("`{word}`")))?;
            (Token::Number(number), behind)
        } else {
            (Token::Name(word.to_owned()), behind)
        };
        tokens.push((column, token));
        rest = behind;
    }
}

/// How far a number goes: digits and points, and perhaps an exponent with digits.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| {
        let end = text[from..].find(|c: char| !c.is_ascii_digit() && c != '.');
        end.map_or(text.len(), |end| from + end)
    };
    let end = digits(0);
    let mut exponent = text[end..].char_indices();
    if !exponent.next().is_some_and(|(_, c)| matches!(c, 'e' | 'E')) {
        return end;
    }
    let from = match exponent.next() {
        Some((at, '+' | '-')) => end + at + 1,
        _ => end + 1,
    };
    if text[from..].starts_with(|c: char| c.is_ascii_digit()) { digits(from) } else { end }
}

impl Parser {
    fn peek(&self) -> &Token {
        // The last token is the end, and nothing goes past it.
        &self.tokens[self.next.min(self.tokens.len() - 1)].1
    }

    /// Goes past the sign, if it stands here.
    fn take(&mut self, sign: &str) -> bool {
        let here = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.next += usize::from(here);
        here
    }

    fn error(&self, expected: impl Into<String>) -> FormulaError {
        let found = match self.peek() {
            Token::Number(number) => format!("the number {number}"),
            Token::Name(name) => format!("the name `{name}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end".to_owned(),
        };
        let column = self.tokens[self.next.min(self.tokens.len() - 1)].0;
        FormulaError { column, expected: expected.into(), found, help: None }
    }

    fn level(&mut self, levels: Levels) -> Result<Expression, FormulaError> {
        let Some((operators, tighter)) = levels.split_first() else { return self.sign() };
        let mut left = self.level(tighter)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.take(sign)) {
            left = Expression::Binary(*operator, Box::new([left, self.level(tighter)?]));
        }
        Ok(left)
    }

    fn sign(&mut self) -> Result<Expression, FormulaError> {
        if self.take("-") {
            return Ok(Expression::Negative(Box::new(self.sign()?)));
        }
        if self.take("+") {
            return self.sign();
        }
        let base = self.atom()?;
        if self.take("^") || self.take("**") {
            return Ok(Expression::Binary(Operator::Power, Box::new([base, self.sign()?])));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<Expression, FormulaError> {
        if self.take("(") {
            let inner = self.level(LEVELS)?;
            return self.close().map(|()| inner);
        }
        let atom = match self.peek().clone() {
            Token::Number(number) => Expression::Number(number),
            Token::Name(name) => return self.name(&name),
            _ => return Err(self.error("a number, a name or `(`")),
        };
        self.next += 1;
        Ok(atom)
    }

    fn close(&mut self) -> Result<(), FormulaError> {
        if self.take(")") { Ok(()) } else { Err(self.error("an operator or `)`")) }
    }

    fn name(&mut self, name: &str) -> Result<Expression, FormulaError> {
        let called = matches!(self.tokens.get(self.next + 1), Some((_, Token::Sign("("))));
        if called {
            return self.call(name);
        }
        let value = VARIABLES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, variable)| Expression::Variable(*variable))
            .or_else(|| {
                let constant = CONSTANTS.iter().find(|(known, _)| *known == name)?;
                Some(Expression::Number(constant.1))
            })
            .or_else(|| is_metric(name).then(|| Expression::Metric(name.to_owned())));
        let Some(value) = value else {
            let expected = "one of epoch, step, progress, base, pi, e, or a metric of the last report, such as \
                            val_loss, train_loss or gradient_norm";
            let help = near(name, known_names());
            return Err(FormulaError { help, ..self.error(expected) });
        };
        self.next += 1;
        Ok(value)
    }

    fn call(&mut self, name: &str) -> Result<Expression, FormulaError> {
        let Some((_, function)) = FUNCTIONS.into_iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
            let help = near(name, FUNCTIONS.iter().map(|(name, _)| *name));
            let expected = format!("one of the functions {}", names.join(", "));
            return Err(FormulaError { help, ..self.error(expected) });
        };
        let column = self.tokens[self.next].0;
        self.next += 2;
        let mut arguments = vec![self.level(LEVELS)?];
        while self.take(",") {
            arguments.push(self.level(LEVELS)?);
        }
        if !self.take(")") {
            return Err(self.error("an operator, `,` or `)`"));
        }
        let wanted = match function {
            Function::One(_) => Some(1),
            Function::If => Some(3),
            Function::Min | Function::Max => None,
        };
        match wanted {
            Some(wanted) if wanted != arguments.len() => Err(FormulaError {
                column,
                expected: match wanted {
                    1 => format!("one argument of `{name}`"),
                    _ => format!("three arguments: `{name}(condition, then, else)`"),
                },
                found: format!("{} of them", arguments.len()),
                help: None,
            }),
            _ => Ok(Expression::Call(function, arguments)),
        }
    }
}
