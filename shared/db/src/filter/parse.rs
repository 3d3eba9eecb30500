//! From tokens to a tree, by recursive descent with a bound on depth and size.

use super::lex::{Fault, Token, tokens};
use super::{Blind, Column, Compare, FILTER_DEPTH_MAX, FILTER_LENGTH_MAX, FILTER_TERMS_MAX, Kind, Node, Value};

pub(super) fn parse(text: &str, columns: &[Column], blind: Option<&Blind<'_>>) -> Result<Option<Node>, Fault> {
    if text.chars().nth(FILTER_LENGTH_MAX).is_some() {
        return Err(Fault { position: FILTER_LENGTH_MAX + 1, problem: "the filter is too long" });
    }
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(None);
    }
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens: &tokens, columns, blind, at: 0, terms: 0, end };
    let node = parser.expression(0)?;
    match parser.next() {
        None => Ok(Some(node)),
        Some((position, Token::Close)) => Err(Fault { position: *position, problem: "no parenthesis is open" }),
        Some((position, _)) => Err(Fault { position: *position, problem: "expected AND or OR" }),
    }
}

struct Parser<'a> {
    tokens: &'a [(usize, Token)],
    columns: &'a [Column],
    blind: Option<&'a Blind<'a>>,
    at: usize,
    terms: usize,
    end: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn next(&mut self) -> Option<&'a (usize, Token)> {
        let token = self.tokens.get(self.at);
        self.at += usize::from(token.is_some());
        token
    }

    fn position(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(position, _)| *position)
    }

    fn fault<T>(&self, problem: &'static str) -> Result<T, Fault> {
        Err(Fault { position: self.position(), problem })
    }

    /// `expression = factor { AND factor }`
    fn expression(&mut self, depth: usize) -> Result<Node, Fault> {
        let mut factors = vec![self.factor(depth)?];
        while self.peek() == Some(&Token::And) {
            self.at += 1;
            factors.push(self.factor(depth)?);
        }
        Ok(single_or(factors, Node::All))
    }

    /// `factor = term { OR term }`
    fn factor(&mut self, depth: usize) -> Result<Node, Fault> {
        let mut terms = vec![self.term(depth)?];
        while self.peek() == Some(&Token::Or) {
            self.at += 1;
            terms.push(self.term(depth)?);
        }
        Ok(single_or(terms, Node::Any))
    }

    /// `term = [ NOT | "-" ] ( comparison | "(" expression ")" )`
    fn term(&mut self, depth: usize) -> Result<Node, Fault> {
        match self.peek() {
            Some(Token::Not | Token::Minus) => {
                let depth = self.deeper(depth)?;
                self.at += 1;
                match self.peek() {
                    Some(Token::Not | Token::Minus) => self.fault("expected a field or a parenthesis"),
                    _ => Ok(Node::Not(Box::new(self.term(depth)?))),
                }
            }
            Some(Token::Open) => {
                let depth = self.deeper(depth)?;
                self.at += 1;
                let node = self.expression(depth)?;
                if self.peek() != Some(&Token::Close) {
                    return self.fault("expected AND, OR or a closing parenthesis");
                }
                self.at += 1;
                Ok(node)
            }
            _ => self.comparison(),
        }
    }

    fn value(&self, column: &Column, text: &str) -> Result<Value, &'static str> {
        match (column.kind, self.blind) {
            (Kind::Blind, Some(index)) => Ok(Value::Bytes(index(column.name, text))),
            (Kind::Blind, None) => Err("this field can't be searched"),
            (kind, _) => Value::read(kind, text),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, Fault> {
        if depth >= FILTER_DEPTH_MAX { self.fault("the filter is nested too deep") } else { Ok(depth + 1) }
    }

    /// `comparison = field operator value`
    fn comparison(&mut self) -> Result<Node, Fault> {
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            return self.fault("the filter compares too often");
        }
        let Some(Token::Word(name)) = self.peek() else { return self.fault("expected a field") };
        let Some(column) = self.columns.iter().find(|column| column.name == name) else { return self.fault("no such field") };
        self.at += 1;
        let Some(Token::Operator(operator)) = self.peek() else { return self.fault("expected an operator") };
        let operator_position = self.position();
        self.at += 1;
        let position = self.position();
        let compare = match self.next() {
            Some((_, Token::Word(word))) if *operator == ":" && word == "*" => Ok(present(column.kind)),
            Some((_, Token::Word(text) | Token::Quoted(text))) => {
                let value = self.value(column, text).map_err(|problem| Fault { position, problem })?;
                compare(column.kind, operator, value)
                    .ok_or(Fault { position: operator_position, problem: "this field has no such operator" })
            }
            _ => Err(Fault { position, problem: "expected a value" }),
        }?;
        Ok(Node::Compare(column.sql, compare))
    }
}

fn present(kind: Kind) -> Compare {
    if matches!(kind, Kind::UuidArray | Kind::TextArray) { Compare::Inhabited } else { Compare::Present }
}

fn compare(kind: Kind, operator: &str, value: Value) -> Option<Compare> {
    match (kind, operator, value) {
        (Kind::UuidArray | Kind::TextArray, ":", value) => Some(Compare::Member(value)),
        (Kind::UuidArray | Kind::TextArray, _, _) => None,
        (Kind::Text, ":", Value::Text(part)) => Some(Compare::Contains(part)),
        (_, "=" | ":", value) => Some(Compare::With(" = ", value)),
        // `!=` also finds rows that have no value.
        (_, "!=", value) => Some(Compare::With(" IS DISTINCT FROM ", value)),
        (Kind::Text | Kind::Time | Kind::Int, _, value) => ordered(operator).map(|operator| Compare::With(operator, value)),
        _ => None,
    }
}

fn ordered(operator: &str) -> Option<&'static str> {
    match operator {
        "<" => Some(" < "),
        "<=" => Some(" <= "),
        ">" => Some(" > "),
        ">=" => Some(" >= "),
        _ => None,
    }
}

/// A list of one stands for itself.
fn single_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { many(nodes) }
}
