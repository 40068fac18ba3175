package doctor

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
)

// Words that name what an attribute is about.
var (
	taskWord    = regexp.MustCompile(`(?i)(^|[._-])(task|case|scenario|intent|use_?case|question_?id|ticket_?type|topic)([._-]?(id|key|name|type))?$`)
	tenantWord  = regexp.MustCompile(`(?i)(^|[._-])(tenant|org|organi[sz]ation|customer|workspace|account|company)([._-]?(id|name))?$`)
	sessionWord = regexp.MustCompile(`(?i)(^|[._-])(session|thread|conversation|chat)([._-]?id)?$`)
	worthy      = regexp.MustCompile(`^(deployment\.environment(\.name)?|service\.version|service\.namespace)$`)
)

// TaskKeys are attributes that may name the task, best first: named so, on most
// runs, with values that several runs share.
func (s *Service) TaskKeys() []string {
	return s.named(taskWord, func(sp *Spread) bool { return sp.Values > 1 && sp.Values*2 <= sp.Runs })
}

// TenantKeys are attributes that may name the tenant.
func (s *Service) TenantKeys() []string {
	return s.named(tenantWord, func(sp *Spread) bool { return sp.Values > 0 })
}

// SessionKeys are attributes that may name the session where no dialect does.
func (s *Service) SessionKeys() []string {
	return s.named(sessionWord, func(sp *Spread) bool { return sp.Values > 1 })
}

// Context are attributes that rules may want to see.
func (s *Service) Context() []string { return s.named(worthy, func(*Spread) bool { return true }) }

// named are the attributes of nine runs in ten whose name and values fit.
func (s *Service) named(word *regexp.Regexp, fits func(*Spread) bool) []string {
	names := slices.DeleteFunc(slices.Collect(maps.Keys(s.Attributes)), func(k string) bool {
		sp := s.Attributes[k]
		return !word.MatchString(k) || sp.Runs*10 < s.Runs*9 || !fits(sp)
	})
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(-cmp.Compare(s.Attributes[a].Runs, s.Attributes[b].Runs), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	return names
}
