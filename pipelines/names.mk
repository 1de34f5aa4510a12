# Names that people give. What make or a shell would take for something else is refused at once, by its character; nothing
# of a name reaches a shell but inside $(call quote,..).
empty :=
space := $(empty) $(empty)
tab   := $(empty)	$(empty)
define newline


endef
comma := ,
open  := (
quote = '$(subst ','\'',$(1))'

# Characters that cannot stand in make's rules, or not everywhere.
MAKE_SPECIAL := ! " \# $$ % & ' ( ) * , : ; < = > ? [ \ ] ^ ` { | } ~

# $(call odd,TEXT,CHARACTERS): the first of them in the text, as a reason; or that there is a blank, or nothing at all.
odd = $(or $(if $(1),,it is empty),\
	$(if $(findstring $(space),$(1))$(findstring $(tab),$(1))$(findstring $(newline),$(1)),it has a blank),\
	$(if $(filter -%,$(1)),it begins with '-'),\
	$(addprefix it has ',$(addsuffix ',$(firstword $(foreach c,$(2),$(if $(findstring $(c),$(1)),$(c)))))))
# $(call refuse,VARIABLE,IS-NO,CHARACTERS): ends make where the variable's value has one of them.
refuse = $(if $(call odd,$($(1)),$(3)),$(error $(1)='$($(1))' is not $(2): $(call odd,$($(1)),$(3))))
# $(call refuse_dollar,VARIABLE): make would take it for a variable of one letter, which is empty.
refuse_dollar = $(if $(filter command environment,$(firstword $(origin $(1)))),$(if \
	$(findstring $$,$(subst $$$(open),,$(subst $${,,$(subst $$$$,,$(value $(1)))))),\
	$(error $(1)='$(value $(1))' is not a name: it has '$$', which to make is $$$$)))
# $(call at_home,PATH): ~/ as a shell would have it.
at_home = $(subst $(newline),,$(subst $(newline)~/,$(HOME)/,$(newline)$(1)))

# What of a study is asked for by name (study.mk), which a make of its own builds the programs for; and whether this make may build
# anything: what it would look for on the machine, and each file's dependencies, take longer than all else that a make reads.
PARTS := data train models charts results tta sweep lowbit ablation record check-study
MAY_BUILD := $(if $(and $(STUDY_STEP),$(filter-out 0,$(MAKELEVEL))),,$(filter-out $(PARTS) status,$(or $(MAKECMDGOALS),all)))
