// Package repotest holds tests of the repository as a whole: which package may
// import which, that generated and written files agree, that what the docs
// name exists, and that the whole path works from captures to an injected
// request. It has no code of its own.
package repotest
